"""The parts of a run that are looked at: the teacher's rollouts, a student's on one split.

Invariant: in a part whatever fails a rule, or is wrong, comes first, and else the order is kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from searchtrain.config.models import Price
from searchtrain.data import schemas
from searchtrain.evaluation.hops import count_hops
from searchtrain.export.samples import (
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
VERDICT = ("rule", "passed", "value", "threshold", "kept")
SCORED = ("em_strict", "em_normalised", "f1", "meaning", "retrieved", "read", "cause")


@dataclass(frozen=True, slots=True)
class Part:
    """Rollouts that belong together, in the order in which they are shown."""

    file: str
    """The beginning of its files' names."""
    name: str
    """What people call it."""
    rows: pl.DataFrame
    """`schemas.Trajectories`, with `type` and `hops`, further facts in the columns `facts`, and
    what judges them: `verdicts` of every rule, or how the answer was `scored`."""
    columns: Sequence[str]
    """Its scores, those that most rollouts fail first."""
    facts: Sequence[str] = ()
    price: Price = FREE
    """Of its tokens."""

    def judge(self, row: Mapping[str, Any]) -> Scores:
        """The scores of one of its rows."""
        if verdicts := row.get("verdicts"):
            return judge_by_rules(verdicts, row["answer"])
        return judge_by_answer(row.get("scored"), row["answer"])


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
        return Part(file, name, rows, (), facts, price)
    failed, kept = pl.col("passed").not_().sum(), pl.col("kept").first()
    told = verdicts.group_by("id", maintain_order=True).agg(
        failed.alias("_failed"), kept.alias("_kept"), pl.struct(VERDICT).alias("verdicts")
    )
    rows = rows.join(told, on="id", how="left", maintain_order="left")
    rows = rows.sort("_kept", "_failed", descending=[False, True], maintain_order=True)
    rules = verdicts.group_by("rule", maintain_order=True).agg(pl.col("passed").mean())
    columns = rules.sort("passed", maintain_order=True)["rule"]
    return Part(file, name, rows, (KEPT, FAILED, *columns), facts, price)


def find_student_parts(
    rows: pl.DataFrame,
    scores: pl.DataFrame,
    answers: Mapping[str, list[str]],
    types: Mapping[str, str],
    student: str,
) -> list[Part]:
    """A student's rollouts, one part per split.

    `rows`: `schemas.Predictions`; `scores`: `schemas.Scores`, as far as it is scored; `answers`:
    the golden ones of the test file's questions, which predictions do not hold; `student`: its
    name, empty of the product.
    """
    parts = []
    for split in schemas.SPLITS:
        own = rows.filter(pl.col("split") == split).drop("split")
        if own.is_empty():
            continue
        scored = scores.filter(pl.col("split") == split)
        known = dict(scored.select("question_id", "type").iter_rows())
        own = add_types(own, dict(types) | known)
        if not scored.is_empty():
            told = scored.select("question_id", pl.struct(SCORED).alias("scored"))
            own = own.join(told, on="question_id", how="left", maintain_order="left")
            right = pl.col("scored").struct.field(MATCHES[0])
            own = own.sort(right, maintain_order=True, nulls_last=True)
        if answers and schemas.name_questions(split) == "test":
            golden = [answers.get(key, []) for key in own["question_id"]]
            own = own.with_columns(pl.Series("golden_answers", golden, pl.List(pl.String)))
        questions, _, asked = split.partition("_")
        name = f"{NAMES.get(student, student)} on {questions}"
        name += f", {ASKED[asked]}" if asked else ""
        columns = () if scored.is_empty() else (*MATCHES, "f1", "cause")
        words = [student or "student", questions, asked if asked != student else ""]
        file = "-".join(filter(None, words)).replace("/", "-").replace("_", "-")
        parts.append(Part(file, name, own, columns))
    return parts


def add_types(rows: pl.DataFrame, types: Mapping[str, str | None]) -> pl.DataFrame:
    """Add each question's type and hops, as far as they are known."""
    pairs = [(types.get(key), key) for key in rows["question_id"]]
    return rows.with_columns(
        pl.Series("type", [kind for kind, _ in pairs], pl.String),
        pl.Series("hops", [count_hops(*pair) for pair in pairs], pl.Int64),
    )
