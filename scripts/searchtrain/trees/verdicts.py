"""What became of a tree's question, and why.

Invariant: a row of `schemas.TreeQuestions` that is not kept has one reason, the first that holds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from searchtrain.data.answers import match_normalised, normalise_answer

REASONS = {
    "not_done": "its tree was given up or cut short",
    "no_question": "no question was written for it",
    "leak": "a hidden name stands in its question",
    "closed_book": "the solver knew the answer",
    "error": "a filter failed on it",
    "no_answer": "the verifier found no answer",
    "wrong_answer": "the verifier found another answer",
    "several_answers": "the verifier found several answers",
}
"""Why a tree yields no question, in the order in which the first one is counted."""


def name_reason(row: Mapping[str, Any]) -> str:
    """Why a row of `schemas.TreeQuestions` is not kept, one of `REASONS`; empty for a kept one."""
    golds = list_golds(row)
    distinct = list_distinct(row["found"], golds)
    reasons = {
        "": row["kept"],
        "not_done": row["status"] != "done",
        "no_question": not row["question"],
        "leak": row["leak"],
        "closed_book": any(match_normalised(answer, golds) for answer in row["closed_book"]),
        "error": row["error"],
        "no_answer": not distinct,
        "wrong_answer": len(distinct) == 1,
        "several_answers": True,
    }
    return next(name for name, holds in reasons.items() if holds)


def list_golds(row: Mapping[str, Any]) -> list[str]:
    """The answer of a tree's question and its other names."""
    return [row["answer"], *row["aliases"]]


def list_distinct(found: Sequence[str], golds: Sequence[str]) -> list[str]:
    """Different answers among those found; all names of the right one count as its first."""
    folded = (
        golds[0] if match_normalised(answer, golds) else normalise_answer(answer) or answer.lower()
        for answer in found
    )
    return list(dict.fromkeys(folded))
