"""Asking a model whether an answer is right: the request, and the form of the verdict.

The model sees question, golden answers and the answer as one JSON object, so no answer can pose as
the task. Invariant: whoever judges answers asks in these words (`judge.jinja`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

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
