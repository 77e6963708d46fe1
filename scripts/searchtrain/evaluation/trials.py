"""Which of several trained students goes on: the best on dev, and how sure that is.

Invariant: only dev decides. The best has the highest strict exact match, then the highest
normalised, then F1; of equal ones the first in the config.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from searchtrain.core.errors import InputError
from searchtrain.core.text_table import format_table
from searchtrain.evaluation.comparison import compare_paired
from searchtrain.evaluation.predictions import add_columns, select_split
from searchtrain.evaluation.scores import add_scores

RANKED = ("em_strict", "em_normalised", "f1")
DECISIVE = "em_strict"


def choose_candidate(
    predictions: Mapping[str, pl.DataFrame], dev: pl.DataFrame, path: Any
) -> dict[str, Any]:
    """`trials.json`: the best candidate, and each one's scores on dev.

    `predictions`: candidate -> `schemas.Predictions`, without rows where it was left out; `dev`: as
    from `question_file.load_questions`, of the file at `path`. Beside a candidate's scores stands
    how far the best is ahead of it, with the interval of the paired bootstrap. Raises InputError
    when none has answered.
    """
    scored = {
        name: _score(rows, dev, path) for name, rows in predictions.items() if not rows.is_empty()
    }
    if not scored:
        raise InputError("trials.candidates: none was trained; raise task.budget_hours")
    means = {name: frame.select(pl.col(RANKED).mean()).row(0) for name, frame in scored.items()}
    best = max(means, key=means.__getitem__)  # the first of equal ones
    candidates: dict[str, dict[str, Any] | None] = {}
    for name in predictions:
        if name not in scored:
            candidates[name] = None
            continue
        ahead = compare_paired(scored[name][DECISIVE], scored[best][DECISIVE])
        figures = dict(zip(RANKED, (round(mean, 6) for mean in means[name]), strict=True))
        candidates[name] = {"n": scored[name].height, **figures, "behind": ahead._asdict()}
    return {"best": best, "candidates": candidates}


def format_trials(report: Mapping[str, Any]) -> str:
    """The report as text."""
    rows = [
        {"candidate": name, "EM strict": "left out"}
        if figures is None
        else {
            "candidate": name,
            "EM strict": figures["em_strict"],
            "EM normalised": figures["em_normalised"],
            "F1": figures["f1"],
            "behind the best": _format_interval(figures["behind"]),
        }
        for name, figures in report["candidates"].items()
    ]
    return f"{format_table(rows)}\n\nBest on dev: {report['best']}."


def _score(rows: pl.DataFrame, dev: pl.DataFrame, path: Any) -> pl.DataFrame:
    chosen = select_split(rows, "dev", dev, complete=True, path=path)
    scored = add_scores(add_columns(chosen, dev, "golden_answers"))
    return scored.with_columns(pl.col(RANKED).cast(pl.Float64))


def _format_interval(interval: Mapping[str, float]) -> str:
    return f"{interval['mean']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"
