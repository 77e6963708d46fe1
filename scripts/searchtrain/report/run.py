"""What a report is made of: the tables and reports of one run.

Invariant: what a run does not have is empty, and its figures are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from searchtrain.config import Config
from searchtrain.curation.rules import CORRECTNESS, RULES

Report = Mapping[str, Any]
ROLLOUTS = ("id", "question_id", "wave", "turns", "searches", "stop_reason",
            "prompt_tokens", "completion_tokens", "lineage")  # fmt: skip
"""The columns of `schemas.Trajectories` that are drawn; the messages are not read."""
PREDICTIONS = ("id", "split", "prompt_tokens", "completion_tokens", "lineage")
"""The same of `schemas.Predictions`."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run; reports are JSON files as their stages write them."""

    config: Config
    seeds: Report
    sampling: Report
    questions: Report
    rollouts: pl.DataFrame
    """The teacher's, columns `ROLLOUTS`."""
    verdicts: pl.DataFrame
    """`schemas.Verdicts` of them."""
    records: Report
    yields: Report
    checkpoint: Report
    metrics: Report
    predictions: pl.DataFrame
    """Columns `PREDICTIONS`."""
    costs: Mapping[str, Report] = field(default_factory=dict)
    """By stage, the reports that say what asking models cost."""
    hours: Mapping[str, float] = field(default_factory=dict)
    """By job, what its last run took."""
    history: Sequence[Report] = ()
    """Of GRPO, step by step."""
    plan: Report = field(default_factory=dict)
    spent: Report = field(default_factory=dict)
    """`hours.json`."""


def judge_run(run: Run) -> pl.DataFrame:
    """One row a rollout: the columns of `run.rollouts`, `kept`, `right` (Boolean; null where no
    rule is about correctness) and `failed` (the rules that it fails, in the order of the rules)."""
    correctness = [name for name, rule in RULES.items() if rule.dimension == CORRECTNESS]
    right = pl.col("passed").filter(pl.col("rule").is_in(correctness))
    rollouts = run.verdicts.group_by("id", maintain_order=True).agg(
        pl.col("kept").first(),
        pl.when(right.len() > 0).then(right.all()).alias("right"),
        pl.col("rule").filter(~pl.col("passed")).alias("failed"),
    )
    return run.rollouts.join(rollouts, on="id", how="left", maintain_order="left").with_columns(
        pl.col("kept").fill_null(False), pl.col("failed").fill_null([])
    )
