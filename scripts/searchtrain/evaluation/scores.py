"""Scores of predicted answers.

Exact match comes twice: strict (the search-augmented task's: letter case and outer white space
do not count) and normalised (SQuAD's steps, as Search-R1 and FlashRAG run them). Beside them stand
F1, substring accuracy and, where there are a judge's verdicts, the share that it found right.
Invariant: a blank answer is never right.
"""

from collections import Counter
from typing import Any

import polars as pl

from searchtrain.data.answers import match_normalised, match_strict, match_substring, measure_f1

SCORES = {
    "em_strict": pl.Boolean,
    "em_normalised": pl.Boolean,
    "substring": pl.Boolean,
    "f1": pl.Float64,
}
GROUPS = {"by_type": "type", "by_source": "source"}
"""What the scores are given apart for, and the column that says so."""


def add_scores(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the columns of `SCORES` to `answer` and `golden_answers`."""
    rows = [
        (
            match_strict(answer, golds),
            match_normalised(answer, golds),
            match_substring(answer, golds),
            measure_f1(answer, golds),
        )
        for answer, golds in frame.select("answer", "golden_answers").iter_rows()
    ]
    return frame.hstack(pl.DataFrame(rows, schema=SCORES, orient="row"))


def score_answers(frame: pl.DataFrame) -> dict[str, Any]:
    """The scores of one split, all means over its questions.

    `frame`: one row a question with `answer`, `golden_answers`, `type` (text or null), `source`,
    `searches`, `stop_reason` and, where there is a judge, `judge`. Returns `n`, the names of
    `SCORES`, `mean_searches`, `unanswered` and `stop_reasons` (counts), and `by_type` and
    `by_source` with the same figures apart. With `judge` there is also the share of all questions
    that the judge found right (SimpleDeepSearcher's LasJ: no verdict is not right) and
    `judge_invalid`, how many have no verdict.
    """
    scored = add_scores(frame)
    return {
        **_average(scored),
        **{
            name: {
                value: _average(scored.filter(pl.col(column) == value))
                for value in scored[column].drop_nulls().unique().sort()
            }
            for name, column in GROUPS.items()
        },
    }


def _average(scored: pl.DataFrame) -> dict[str, Any]:
    means = {name: _mean(scored[name]) for name in SCORES}
    if "judge" in scored.columns:
        means["judge"] = _mean(scored["judge"])
        means["judge_invalid"] = scored["judge"].null_count()
    reasons = Counter(scored["stop_reason"].to_list())
    return {
        "n": scored.height,
        **means,
        "mean_searches": _mean(scored["searches"]),
        "unanswered": int((scored["answer"].str.strip_chars() == "").sum()),
        "stop_reasons": dict(sorted(reasons.items())),
    }


def _mean(scores: pl.Series) -> float:
    """Of numbers or of truth values, null being false; there is at least one."""
    return round(float(scores.cast(pl.Float64).fill_null(0).sum() / scores.len()), 6)
