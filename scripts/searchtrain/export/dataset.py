"""A run's data as the tables of a Hugging Face data set: what was kept, and every rollout.

Invariant: a row of the kept is a row of `curated.parquet`, in its order, and one of the rollouts a
row of `trajectories.parquet`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.core.files import replace_file

KEPT = (
    "id", "question_id", "question", "golden_answers", "source", "origin", "messages", "answer",
    "gold_form", "form_change", "difficulty", "searches", "turns", "prompt_tokens",
    "completion_tokens", "model",
)  # fmt: skip
"""Columns of what was kept."""
FILE = "train-00000-of-00001.parquet"
"""In the folder of its configuration, as the `datasets` library names it."""


def make_kept(
    curated: pl.DataFrame, questions: pl.DataFrame, chats: Sequence[Mapping[str, Any]]
) -> pl.DataFrame:
    """The rollouts to learn from: `schemas.Curated` with `messages` as in `chats` (one per row),
    the `origin` of the question (`schemas.Questions`) and the `model` that wrote it."""
    messages = pl.Series(
        "messages", [chat["messages"] for chat in chats], curated["messages"].dtype
    )
    origins = questions.select(pl.col("id").alias("question_id"), "origin")
    return (
        curated.with_columns(messages, model=pl.col("lineage").struct.field("model"))
        .join(origins, on="question_id", how="left", maintain_order="left")
        .select(KEPT)
    )


def make_rollouts(trajectories: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """Every rollout (`schemas.Trajectories`) with `kept` and the `verdicts` of all rules on it."""
    judged = verdicts.group_by("id", maintain_order=True).agg(
        pl.col("kept").any(), verdicts=pl.struct("rule", "passed", "value", "threshold")
    )
    return trajectories.join(judged, on="id", how="left", maintain_order="left")


def write_config(frame: pl.DataFrame, folder: Path) -> None:
    """Write a table as the one file of a configuration's split `train`."""
    with replace_file(folder / FILE) as partial:
        frame.write_parquet(partial, compression="zstd")
