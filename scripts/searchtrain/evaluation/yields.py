"""The yield of a teacher: how many of its rollouts are right, which questions are solved at all,
and what the others lack.

Invariant: a share of rollouts counts every rollout once, a share of questions every question once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.core.text_table import format_table
from searchtrain.evaluation.gaps import CAUSES, measure_gaps, trace_gaps
from searchtrain.evaluation.hops import add_hops
from searchtrain.evaluation.scores import SCORES, add_scores

GROUPS = {"by_type": "type", "by_hops": "hops", "by_source": "source", "by_wave": "wave"}
"""What the figures are given apart for, and the column that says so, if it is there."""


def make_yield(
    trajectories: pl.DataFrame, types: Mapping[str, str], corpus: Path | None = None
) -> dict[str, Any]:
    """`yield.json`: the figures of `measure_yield` of all rollouts, and apart for `GROUPS`.

    `trajectories`: `schemas.Trajectories`, at least one; `types`: id -> type of questions, as far
    as it is known; `corpus`: of the passages that searches retrieved, None where it is not known.
    """
    frame = trajectories.with_columns(
        type=pl.col("question_id").replace_strict(types, default=None, return_dtype=pl.String)
    )
    rows = trace_gaps({"": add_hops(add_scores(frame))}, corpus)[""]
    groups = {
        name: {
            str(value): measure_yield(rows.filter(pl.col(column) == value))
            for value in rows[column].drop_nulls().unique().sort()
        }
        for name, column in GROUPS.items()
        if column in rows.columns
    }
    return {**measure_yield(rows), **groups}


def measure_yield(rows: pl.DataFrame) -> dict[str, Any]:
    """The figures of some rollouts, at least one.

    Returns `questions`, `rollouts`, the means of `SCORES` over the rollouts (`em_strict` is the
    yield), `solved` (the share of questions of which a rollout is strictly right),
    `solved_normalised`, `mean_searches`, and `gaps` (`gaps.measure_gaps`).
    """
    solved = rows.group_by("question_id").agg(pl.col("em_strict", "em_normalised").any())
    return {
        "questions": solved.height,
        "rollouts": rows.height,
        **{name: _mean(rows[name]) for name in SCORES},
        "solved": _mean(solved["em_strict"]),
        "solved_normalised": _mean(solved["em_normalised"]),
        "mean_searches": _mean(rows["searches"]),
        "gaps": measure_gaps(rows),
    }


def format_yield(found: Mapping[str, Any]) -> str:
    """A table for the log: all rollouts, then per type (else per hops, else per source)."""
    kinds = next((name for name in GROUPS if len(found.get(name, ())) > 1), "by_source")
    parts = {"all": found, **found[kinds]}
    if len(found.get("by_wave", ())) > 1:
        parts |= {f"wave {name}": part for name, part in found["by_wave"].items()}
    return format_table(
        [
            {
                "rollouts of": name,
                "questions": part["questions"],
                "rollouts": part["rollouts"],
                "EM strict": part["em_strict"],
                "solved": part["solved"],
                **{cause: part["gaps"]["gains"][cause] for cause in CAUSES},
                "in retrieved": part["gaps"]["retrieved"],
                "in read": part["gaps"]["read"],
                "searches": part["mean_searches"],
            }
            for name, part in parts.items()
        ]
    )


def _mean(values: pl.Series) -> float:
    return round(float(values.cast(pl.Float64).sum() / values.len()), 6)
