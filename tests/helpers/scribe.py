"""A policy that writes turns from a script, and rollouts with it."""

import asyncio

from helpers.library import TASK, Library
from searchtrain.agent import loop
from searchtrain.config.limits import Limits
from searchtrain.rl.generation import Generated, Sampling
from searchtrain.rl.local import LocalModel
from searchtrain.rl.rewards import MATCHES
from searchtrain.rl.rollouts import roll_out


def encode(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


class Scribe:
    """Writes turns from a script per rollout; each is text, or ids with text and finish reason."""

    sampling = Sampling(1.0, 1.0, 64)
    context = 4096

    def __init__(self, tokenizer, *scripts, context=4096):
        self.tokenizer = tokenizer
        self.left = {TASK.seed + place: list(script) for place, script in enumerate(scripts)}
        self.context = context
        self.batches = []

    def generate(self, requests):
        self.batches.append(requests)
        return [self.write(self.left[request.seed >> 8].pop(0)) for request in requests]

    def write(self, turn):
        if isinstance(turn, Generated):
            return turn
        ids = encode(self.tokenizer, turn)
        return Generated(ids, [-0.5] * len(ids), turn, "stop")


def roll(scribe, tokenizer, library=None, **limits):
    harness = loop.Harness("Answer briefly.", "digest", Limits(**{"topk": 1, **limits}))
    attempts = [
        loop.Attempt("q1", TASK.question, TASK.golden_answers, "test", (), place, seed)
        for place, seed in enumerate(scribe.left)
    ]
    model = LocalModel("tiny", scribe, tokenizer)
    match = MATCHES["strict"]
    return asyncio.run(roll_out(attempts, harness, library or Library(), model, match))
