"""A model that replies as a test says, and the rollout that asks it.

Only the transport is made up: what is sent, read, repaired and taken back is the agent's own.
"""

import asyncio
from collections import Counter

from helpers.library import TASK, Library
from searchtrain.agent import loop
from searchtrain.agent.formats import open_format
from searchtrain.config import Limits
from searchtrain.core.errors import ModelError
from searchtrain.models.model import Completion
from searchtrain.models.role import Role


class Transport:
    """Replies with one of `replies` after the other, or with what a function of the request says.

    A reply is a text, an exception, a `Completion`, or a pair of text and finish reason. As a
    server does, it stops before a stop string that it is given.
    """

    def __init__(self, replies, **role):
        self.role = Role(**{"name": "teacher", "model": "m", "dialect": "vllm", **role})
        self.usage = Counter()
        self.requests = []
        self._replies = replies if callable(replies) else self._take(list(replies))

    async def complete(self, messages, *, seed, stop=(), prefill="", schema=None, tools=(),
                       brief=False):  # fmt: skip
        request = {
            "messages": [dict(message) for message in messages],
            "stop": tuple(stop), "prefill": prefill, "tools": tools, "seed": seed,
        }  # fmt: skip
        self.requests.append(request)
        reply = self._replies(request)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, Completion):
            return reply
        text, finish = reply if isinstance(reply, tuple) else (reply, "stop")
        found = [text.find(string) for string in stop if string in text]
        text = text[: min(found)] if found else text
        return Completion(text, finish, 10, len(text.split()), False, "m")

    def stop(self):
        pass

    def cost(self, cached=False):
        return 0.0

    async def close(self):
        pass

    def _take(self, left):
        return lambda request: left.pop(0)


def open_policy(model, form="tags", repairs=True, **limits):
    own, written = Limits(**{"topk": 1, **limits}), open_format(form, model.role)
    return loop.Policy(model, loop.Harness("Answer.", "digest", own, None, written, repairs))


def roll_out(replies, *, form="tags", library=None, role=None, repairs=True, **limits):
    """One rollout; returns its row and the model, which knows what it was sent."""
    model = Transport(replies, **(role or {}))
    policy = open_policy(model, form, repairs, **limits)
    row, _ = asyncio.run(loop.rollout(TASK, policy, library or Library()))
    return row, model


def too_long():
    return ModelError("the conversation is longer than the model's context", "context_length")


def endless():
    return ModelError("the answer has no content (all of it is in the reasoning field)", "empty")
