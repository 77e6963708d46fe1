"""Rollouts as samples of Inspect AI: conversation, scores, tokens, cost, lineage.

A teacher's rollout has one score per curation rule, a student's how its answer was scored.
Invariant: the first score says whether the rollout is good, and those that it fails come before
those that it passes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from inspect_ai.log import EvalSample
from inspect_ai.model import ModelOutput, ModelUsage
from inspect_ai.scorer import Score

from searchtrain.config.models import Price
from searchtrain.export.conversation import make_messages

RIGHT, WRONG = "C", "I"
"""Marks that the viewer shows green and red."""
KEPT, FAILED = "kept", "failed"
MATCHES = ("em_strict", "em_normalised")
LONGEST_ID = 100
BAD = frozenset('\\%?"<>|')
FACTS = ("wave", "stop_reason", "error", "turns", "searches", "fallbacks", "source")
"""Columns of a rollout that the viewer's filter can ask for, as `metadata.wave`."""

Scores = dict[str, Score]


def make_sample(
    row: Mapping[str, Any],
    scores: Scores,
    facts: Mapping[str, Any],
    price: Price,
    refined: bool,
) -> EvalSample:
    """One row of `schemas.Trajectories` or `schemas.Predictions`.

    `facts`: what else is known of it, such as its question's type; `price`: of the tokens of the
    model that wrote it; `refined`: see `make_messages`.
    """
    given, made = row["prompt_tokens"], row["completion_tokens"]
    dollars = (given * price.prompt + made * price.completion) / 1e6
    usage = ModelUsage(
        input_tokens=given, output_tokens=made, total_tokens=given + made,
        total_cost=dollars if price.prompt or price.completion else None,
    )  # fmt: skip
    lineage = row["lineage"]
    return EvalSample(
        id=show_id(row["question_id"]),
        epoch=row["rollout"] + 1,
        uuid=show_id(row["id"]),
        input=row["question"],
        target=list(row["golden_answers"]),
        messages=make_messages(row, refined),
        output=ModelOutput(model=lineage["model"], completion=row["answer"]),
        scores=scores,
        # Only what there is: the browser reads that of all rollouts of a file at once.
        metadata={
            name: value
            for name, value in {
                "rollout": row["id"],
                **facts,
                **{name: row[name] for name in FACTS},
                "repairs": ", ".join(row["repairs"]),
                "lineage": dict(lineage),
            }.items()
            if value is not None and value != ""
        },
        model_usage={lineage["model"]: usage},
    )


def show_id(key: str) -> str:
    """An id that may stand in the name of a file and in an address: as it is, if it can."""
    fits = key.isprintable() and 0 < len(key.strip(".")) <= LONGEST_ID
    if fits and not set(key) & BAD:
        return key
    kept = "".join(each if each.isalnum() else "_" for each in key[:40])
    return f"{kept}~{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def judge_by_rules(verdicts: Sequence[Mapping[str, Any]], answer: str) -> Scores:
    """The scores of a teacher's rollout. `verdicts`: its rows of `schemas.Verdicts`, not none."""
    passed: Scores = {}
    failed: Scores = {}
    kept = verdicts[0]["kept"]
    for verdict in verdicts:
        value, threshold = verdict["value"], verdict["threshold"]
        measured = "nothing to measure" if value is None else f"measured {value:g}"
        score = Score(
            value=RIGHT if verdict["passed"] else WRONG,
            explanation=f"{measured}, threshold {threshold:g}",
        )
        (passed if verdict["passed"] else failed)[verdict["rule"]] = score
    told = f"fails {', '.join(failed)}" if failed else "passes every rule"
    if not failed and not kept:
        told += ", but its question has a better one"
    first = {
        KEPT: Score(value=RIGHT if kept else WRONG, answer=answer, explanation=told),
        FAILED: Score(value=len(failed), explanation="rules that it fails"),
    }
    return first | failed | passed


def judge_by_answer(scored: Mapping[str, Any] | None, answer: str) -> Scores:
    """The scores of a student's answer. `scored`: its row of `schemas.Scores`, if it has one."""
    if scored is None:
        return {}
    scores = {
        name: Score(value=RIGHT if scored[name] else WRONG, answer=answer) for name in MATCHES
    }
    meant = f"means a golden answer ({scored['meaning']})" if scored["meaning"] else None
    scores["f1"] = Score(value=round(scored["f1"], 3), explanation=meant)
    cause = scored["cause"]
    explained = [f"{name}: {scored[name]}" for name in ("retrieved", "read")]
    scores["cause"] = Score(value=cause or "none", explanation=", ".join(explained))
    return scores
