"""Scores of predicted answers.

Exact match comes twice: strict (the search-augmented task's: letter case and outer white space
do not count) and normalised (SQuAD's steps, as Search-R1 and FlashRAG run them). Beside them stand
F1, substring accuracy and, where there are a judge's verdicts, the share that it found right, each
with its interval of 95 % (`intervals`), and what strict exact match lacks (`gaps`).
Invariant: a blank answer is never right.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import polars as pl

from searchtrain.data.answers import match_normalised, match_strict, match_substring, measure_f1
from searchtrain.evaluation.gaps import measure_gaps
from searchtrain.evaluation.intervals import bootstrap_means

SCORES: dict[str, tuple[Callable[[str, list[str]], float], type[pl.DataType]]] = {
    "em_strict": (match_strict, pl.Boolean),
    "em_normalised": (match_normalised, pl.Boolean),
    "substring": (match_substring, pl.Boolean),
    "f1": (measure_f1, pl.Float64),
}
GROUPS = {"by_type": "type", "by_hops": "hops", "by_source": "source"}
"""What the scores are given apart for, and the column that says so."""


def add_scores(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the columns of `SCORES` to `answer` and `golden_answers`."""
    pairs = frame.select("answer", "golden_answers").rows()
    return frame.with_columns(
        pl.Series(name, [measure(*pair) for pair in pairs], kind)
        for name, (measure, kind) in SCORES.items()
    )


def score_answers(frame: pl.DataFrame) -> dict[str, Any]:
    """The scores of one split, all means over its questions.

    `frame`: one row a question with `answer`, `golden_answers`, `type` (text or null), `source`,
    `searches`, `stop_reason` and, where there is a judge, `judge`, with the columns of `SCORES` or
    without. Returns `n`, the names of `SCORES`, `mean_searches`, `unanswered` and `stop_reasons`
    (counts), `intervals` (of each score, low and high), and `by_type`, `by_hops` (if there is a
    column `hops`) and `by_source` with the same figures apart. With `judge` there is also the share
    of all questions that the judge found right (SimpleDeepSearcher's LasJ: no verdict is not right)
    and `judge_invalid`, how many have no verdict; with the columns of `gaps.add_gaps`, `gaps`.
    """
    scored = frame if set(SCORES) <= set(frame.columns) else add_scores(frame)
    whole = _average(scored)
    groups = {
        name: {
            str(value): _average(rows) if rows.height < scored.height else whole
            for value in scored[column].drop_nulls().unique().sort()
            for rows in [scored.filter(pl.col(column) == value)]
        }
        for name, column in GROUPS.items()
        if column in scored.columns
    }
    return {**whole, **groups}


def _average(scored: pl.DataFrame) -> dict[str, Any]:
    means = {name: _mean(scored[name]) for name in SCORES}
    if "judge" in scored.columns:
        means["judge"] = _mean(scored["judge"])
        means["judge_invalid"] = scored["judge"].null_count()
    bounds = bootstrap_means(scored.select(*SCORES).cast(pl.Float64).to_numpy().T)
    return {
        "n": scored.height,
        **means,
        "intervals": {
            name: [each.low, each.high] for name, each in zip(SCORES, bounds, strict=True)
        },
        "mean_searches": _mean(scored["searches"]),
        "unanswered": int((scored["answer"].str.strip_chars() == "").sum()),
        "stop_reasons": dict(sorted(Counter(scored["stop_reason"]).items())),
        **({"gaps": measure_gaps(scored)} if "cause" in scored.columns else {}),
    }


def _mean(scores: pl.Series) -> float:
    """Of numbers or of truth values, null being false; there is at least one."""
    return round(float(scores.cast(pl.Float64).fill_null(0).sum() / scores.len()), 6)
