"""How hard the questions are: the share of a question's rollouts that is right."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from searchtrain.agent.waves import FIRST
from searchtrain.report.charts import draw_bars, draw_columns
from searchtrain.report.figure import Figure, Topic, format_count, format_share
from searchtrain.report.palette import BAD, GOOD
from searchtrain.report.run import Run
from searchtrain.report.scores import find_group, name_kinds

KINDS = {"a rollout kept": GOOD, "none kept": BAD}
FINE = 8
"""Rollouts of a question up to which every share has a column of its own."""


def tell_difficulty(run: Run, judged: pl.DataFrame) -> Topic:
    """The topic; `judged` as from `judge_run`."""
    figures = []
    first = judged.filter((pl.col("wave") == FIRST) & pl.col("right").is_not_null())
    if not first.is_empty():
        figures.append(tell_shares(first, judged))
    group = find_group(run.yields)
    if kinds := run.yields.get(group, {}):
        figures.append(
            tell_solved(dict(zip(name_kinds(list(kinds), group), kinds.values(), strict=True)))
        )
    return Topic("difficulty", "Difficulty", figures)


def tell_shares(first: pl.DataFrame, judged: pl.DataFrame) -> Figure:
    """Questions by the share of their first rollouts that is right."""
    kept = judged.group_by("question_id").agg(pl.col("kept").any())
    questions = (
        first.group_by("question_id")
        .agg(pl.len().alias("rollouts"), pl.col("right").mean().alias("share"))
        .join(kept, on="question_id", how="left")
    )
    rollouts = questions.select(pl.max("rollouts")).item()
    most = min(rollouts, FINE)
    places = questions.with_columns((pl.col("share") * most).round().cast(pl.Int64).alias("place"))
    counts = {(p, k): n for p, k, n in places.group_by("place", "kept").len().iter_rows()}
    rows = [
        {
            "label": f"{100 * place / most:.0f} %",
            "value": counts.get((place, kind == "a rollout kept"), 0),
            "kind": kind,
        }
        for place in range(most + 1)
        for kind in KINDS
    ]
    never = questions.filter(pl.col("share") == 0).height
    always = questions.filter(pl.col("share") == 1).height
    said = (
        f"Of {format_count(questions.height, 'questions')} the teacher always answers"
        f" {format_share(always, questions.height)} rightly and never"
        f" {format_share(never, questions.height)}"
        f" (at most {format_count(rollouts, 'rollouts')} each in the first wave)."
    )
    chart = draw_columns(rows, KINDS, axis="rollouts that are right", counted="questions")
    return Figure("Questions by the share of right rollouts", said, [("", chart)])


def tell_solved(kinds: Mapping[str, Any]) -> Figure:
    """The share of questions that a rollout solves, by its kind."""
    rows = [
        {
            "label": name,
            "value": part["solved"],
            "kind": "solved",
            "text": f"{100 * part['solved']:.1f} %",
        }
        for name, part in kinds.items()
    ]
    hardest = min(rows, key=lambda row: float(row["value"]))
    return Figure(
        "Questions that a rollout solves, by kind",
        f"Hardest for the teacher is {hardest['label']}: {100 * float(hardest['value']):.1f} % have"
        " a rollout whose answer matches strictly.",
        [("", draw_bars(rows, {"solved": GOOD}, percent=True))],
    )
