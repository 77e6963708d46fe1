"""One answer to each of many requests: what fails costs its own request."""

import asyncio
import json
from collections import Counter

import pytest

from searchtrain.config import Judge
from searchtrain.core.errors import SearchTrainError, ServiceError
from searchtrain.models.asker import Asker
from searchtrain.models.batch import ask_each
from searchtrain.models.model import Completion
from searchtrain.models.role import Role

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


class Echo:
    """A model that says what it is asked, as JSON."""

    def __init__(self):
        self.role = Role("judge", "m", concurrency=2)
        self.usage = Counter()
        self.closed = False

    async def complete(self, messages, *, seed, schema):
        text = messages[1]["content"]
        if text == "gone":
            raise ServiceError("gone")
        return Completion(text, "stop", 1, 1, False)

    def stop(self):
        pass

    def cost(self, cached=False):
        return 0.0

    async def close(self):
        self.closed = True


def divide(value):
    return 12 // value["n"]


def ask(*requests, share=1.0):
    model = Echo()
    settings = Judge(seed=1, max_failed_share=share)
    try:
        return asyncio.run(
            ask_each(requests, Asker(model, "Divide.", NUMBER), divide, settings, "x")
        )
    finally:
        assert model.closed


def test_what_fails_costs_its_own_request():
    right, prose, zero, last = ask(json.dumps({"n": 3}), "prose", '{"n": 0}', '{"n": 4}')
    assert (right, last) == (4, 3)
    assert (prose.kind, zero.kind) == ("not_json", "internal")
    assert "ZeroDivisionError" in str(zero)


def test_faults_of_the_program_count_and_a_refusal_ends_the_stage():
    with pytest.raises(SearchTrainError, match=r"internal 1.*more than x\.max_failed_share"):
        ask('{"n": 3}', '{"n": 0}', share=0.1)
    with pytest.raises(ServiceError, match="gone"):
        ask('{"n": 3}', "gone")
