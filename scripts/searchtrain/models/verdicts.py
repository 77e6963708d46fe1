"""Asking a model whether an answer is right: the request, and the form of the verdict.

The model sees question, golden answers and the answer as one JSON object, so no answer can pose as
the task. Invariant: whoever judges answers asks in these words (`judge.jinja`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from searchtrain.models.model import Model
from searchtrain.models.reply import make_object_schema

VERDICT_SCHEMA = make_object_schema(reason={"type": "string"}, correct={"type": "boolean"})
"""What a judge must answer; the reason comes first, so that the verdict can follow from it."""


def render_request(question: str, golds: Sequence[str], answer: str) -> str:
    """The judge's user message; the golden answers stay a list."""
    request = {
        "question": question, "golden_answers": list(golds), "predicted_answer": answer.strip(),
    }  # fmt: skip
    return orjson.dumps(request).decode()


def read_verdict(value: Mapping[str, Any]) -> tuple[bool, str, str]:
    """The verdict, its reason, and no error."""
    return value["correct"], " ".join(value["reason"].split()), ""


def describe_judge(client: Model, errors: Iterable[str]) -> dict[str, Any]:
    """Who judged, the kinds of its failures (`errors`, empty where there was a verdict) and the
    cost: requests, tokens and `dollars` paid now, `all_dollars` as if nothing had been cached."""
    return {
        "model": client.role.model,
        "revision": client.role.revision,
        "errors": dict(sorted(Counter(filter(None, errors)).items())),
        "cost": {
            **client.usage,
            "dollars": round(client.cost(), 6),
            "all_dollars": round(client.cost(cached=True), 6),
        },
    }
