"""`benchmarks.json`: the questions of all benchmarks in one question file.

Invariant: what is written is read back equal.
"""

from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.data import question_file

COLUMNS = pl.Schema({**question_file.QUESTION, "type": pl.String()})
"""A question with `type`, its benchmark's name."""


def make_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows of `benchmarks.json`, a question file: `{id, question, golden_answers, source,
    type}`, and `exclude_urls` where there are any."""
    return [
        {key: row[key] for key in COLUMNS if key != "exclude_urls" or row[key]}
        for row in frame.iter_rows(named=True)
    ]


def read_benchmarks(path: str | Path) -> pl.DataFrame:
    """Read `benchmarks.json` as `make_rows` laid it out, with the columns of `COLUMNS`."""
    kinds = question_file.load_answers(path).select("id", "type")
    return question_file.load_questions(path).join(
        kinds, on="id", how="left", maintain_order="left"
    )
