"""The parts of a run that are looked at: the teacher's rollouts, a student's on one split.

Invariant: in a part whatever fails a rule, or is wrong, comes first, and else the order is kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from searchtrain.config.models import Price
from searchtrain.data import schemas
from searchtrain.evaluation.hops import count_hops
from searchtrain.report.samples import (
    FAILED,
    KEPT,
    MATCHES,
    Scores,
    judge_by_answer,
    judge_by_rules,
)

ASKED = {
    "closed_book": "without searching",
    "untrained": "searching with the teacher's instructions",
    "retrieve_read": "after one search",
}
"""How questions are answered, by the end of a split's name."""
NAMES = {"": "student", "untrained": "untrained base"}
"""Of students, by the place of their rollouts."""


FREE = Price()


@dataclass(frozen=True, slots=True)
class Part:
    """Rollouts that belong together, in the order in which they are shown."""

    file: str
    """The beginning of its files' names."""
    name: str
    """What people call it."""
    rows: pl.DataFrame
    """`schemas.Trajectories`, with `type` and `hops`, and further facts in the columns `facts`."""
    columns: Sequence[str]
    """Its scores, those that most rollouts fail first."""
    verdicts: Mapping[str, list[Any]] = field(default_factory=dict)
    """By the rollout's id, as `judge_by_rules` takes them."""
    scored: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By the question's id, as `judge_by_answer` takes them."""
    facts: Sequence[str] = ()
    price: Price = FREE
    """Of its tokens."""

    def judge(self, row: Mapping[str, Any]) -> Scores:
        """The scores of one of its rows."""
        if self.verdicts:
            return judge_by_rules(self.verdicts.get(row["id"], ()), row["answer"])
        return judge_by_answer(self.scored.get(row["question_id"]), row["answer"])


def find_teacher_part(
    rows: pl.DataFrame,
    verdicts: pl.DataFrame | None,
    curated: pl.DataFrame | None,
    types: Mapping[str, str],
    number: int,
    position: int,
    price: Price,
) -> Part:
    """The rollouts of one round, with every rule's verdict.

    `rows`: `schemas.Trajectories`; `verdicts`: `schemas.Verdicts`; `curated`: `schemas.Curated`;
    `number`: of the round; `position`: of its first record in the training data; `price`: of the
    teacher's tokens.
    """
    name = "teacher's rollouts" if number == 1 else f"student's rollouts for round {number}"
    price = price if number == 1 else FREE
    file = "teacher" if number == 1 else f"round{number}"
    rows = add_types(rows, types)
    facts: tuple[str, ...] = ()
    if curated is not None:
        facts = ("sft_record", "difficulty", "rank", "gold_form", "form_change")
        records = curated.with_row_index("sft_record", position).select(
            "id", pl.col("sft_record").cast(pl.Int64), *facts[1:]
        )
        rows = rows.join(records, on="id", how="left", maintain_order="left")
    if verdicts is None:
        return Part(file, name, rows, (), facts=facts, price=price)
    counts = verdicts.group_by("id").agg(
        (~pl.col("passed")).sum().alias("_failed"), pl.col("kept").first().alias("_kept")
    )
    order = rows.join(counts, on="id", how="left", maintain_order="left")
    rows = order.sort("_kept", pl.col("_failed"), descending=[False, True], maintain_order=True)
    rules = verdicts.group_by("rule", maintain_order=True).agg(pl.col("passed").mean())
    columns = rules.sort("passed", maintain_order=True)["rule"].to_list()
    told: dict[str, list[Any]] = {}
    chosen = verdicts.select("id", "rule", "passed", "value", "threshold", "kept")
    for key, *verdict in chosen.iter_rows():
        told.setdefault(key, []).append(verdict)
    rows = rows.drop("_failed", "_kept")
    return Part(file, name, rows, (KEPT, FAILED, *columns), told, facts=facts, price=price)


def find_student_parts(
    rows: pl.DataFrame,
    scores: pl.DataFrame | None,
    answers: Mapping[str, list[str]],
    types: Mapping[str, str],
    student: str,
) -> list[Part]:
    """A student's rollouts, one part per split.

    `rows`: `schemas.Predictions`; `scores`: `schemas.Scores`; `answers`: the golden ones of the
    test file's questions, which predictions do not hold; `student`: its name, empty of the product.
    """
    parts = []
    for split in schemas.SPLITS:
        own = rows.filter(pl.col("split") == split).drop("split")
        if own.is_empty():
            continue
        told = None if scores is None else scores.filter(pl.col("split") == split)
        scored = {} if told is None else {row["question_id"]: row for row in told.to_dicts()}
        own = add_types(own, dict(types) | {key: row["type"] for key, row in scored.items()})
        if answers and schemas.name_questions(split) == "test":
            known = [answers.get(key, []) for key in own["question_id"]]
            own = own.with_columns(pl.Series("golden_answers", known, pl.List(pl.String)))
        wrong = [not scored.get(key, {}).get(MATCHES[0], True) for key in own["question_id"]]
        own = own.with_columns(pl.Series("_wrong", wrong, pl.Boolean))
        own = own.sort("_wrong", descending=True, maintain_order=True).drop("_wrong")
        questions, _, asked = split.partition("_")
        name = f"{NAMES.get(student, student)} on {questions}"
        name += f", {ASKED[asked]}" if asked else ""
        columns = (*MATCHES, "f1", "cause") if scored else ()
        words = [student or "student", questions, asked if asked != student else ""]
        file = "-".join(filter(None, words)).replace("/", "-").replace("_", "-")
        parts.append(Part(file, name, own, columns, scored=scored))
    return parts


def add_types(rows: pl.DataFrame, types: Mapping[str, str | None]) -> pl.DataFrame:
    """Add each question's type and hops, as far as they are known."""
    pairs = [(types.get(key), key) for key in rows["question_id"]]
    return rows.with_columns(
        pl.Series("type", [kind for kind, _ in pairs], pl.String),
        pl.Series("hops", [count_hops(*pair) for pair in pairs], pl.Int64),
    )
