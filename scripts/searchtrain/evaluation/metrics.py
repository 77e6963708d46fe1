"""`metrics.json`: the scores of every split whose answers are known, and the predictions listed.

Invariant: what the product answers is scored whole; baselines a run may leave out.
"""

import logging
from collections.abc import Mapping
from typing import Any

import polars as pl

from searchtrain.core.errors import InputError
from searchtrain.core.text_table import format_table
from searchtrain.data.schemas import SPLITS, name_questions
from searchtrain.evaluation.predictions import (
    add_columns,
    add_verdicts,
    list_others,
    select_split,
)
from searchtrain.evaluation.scores import add_scores, score_answers

logger = logging.getLogger(__name__)

SHOWN = {
    "n": "n", "EM strict": "em_strict", "EM normalised": "em_normalised", "substring": "substring",
    "F1": "f1", "judge": "judge", "searches": "mean_searches", "unanswered": "unanswered",
}  # fmt: skip
"""Titles of the log's table, and the scores below them."""


def make_metrics(
    predictions: pl.DataFrame,
    dev: pl.DataFrame,
    test: pl.DataFrame,
    answers: pl.DataFrame | None,
    types: Mapping[str, str],
    paths: Mapping[str, Any],
    *,
    benchmarks: pl.DataFrame | None = None,
    judgements: pl.DataFrame | None = None,
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Score every split that has answers; returns `metrics.json` and the predictions to list.

    `dev`, `test`: as from `question_file.load_questions`; `answers`: as from `load_answers`, None
    when the test answers are not known: then test is not scored. `types`: id -> type, of dev
    questions. `benchmarks`: as from `benchmarks.read_benchmarks`, its types are the benchmarks;
    `judgements`: `schemas.Judgements`. `paths`: `dev`, `test`, `answers` and `benchmarks`, for
    messages. The second value has the rows of `dev_predictions.json` as `dev`, and those of
    `benchmark_predictions.json` as `benchmarks`.
    """
    labelled = dev.with_columns(
        pl.col("id").replace_strict(types, default=None, return_dtype=pl.String).alias("type")
    )
    known = {"dev": (dev, labelled, paths["dev"])}
    if answers is not None:
        unknown = list_others(test["id"], answers["id"])
        if not unknown.is_empty():
            raise InputError(
                f"{paths['answers']}: no answer for id {unknown[0]!r} of {paths['test']}"
                f" ({unknown.len()} such ids); give the answers of this test file or none"
            )
        known["test"] = (test, answers, paths["test"])
    if benchmarks is not None:
        known["benchmarks"] = (benchmarks, benchmarks, paths["benchmarks"])
    metrics = {}
    listings = {}
    for split in SPLITS:
        name = name_questions(split)
        if name not in known:
            continue
        questions, labels, path = known[name]
        complete = split == name
        rows = select_split(predictions, split, questions, complete=complete, path=path)
        if rows.is_empty():
            continue
        frame = add_columns(rows, labels, "golden_answers", "type")
        frame = add_verdicts(frame, split, judgements)
        metrics[split] = score_answers(frame)
        if split == "dev":
            listings[split] = _list_predictions(frame)
        elif split == "benchmarks":
            listings[split] = _list_predictions(frame, "source", "type")
    logger.info("scores:\n%s", format_metrics(metrics))
    return metrics, listings


def format_metrics(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """A table for the log: a row per split, below it one per type and one per source, where the
    sources say more than the types."""
    judged = any("judge" in scores for scores in metrics.values())
    rows = []
    for split, scores in metrics.items():
        rows.append(_make_line(split, scores, judged))
        parts = dict(scores["by_type"])
        if len(scores["by_source"]) > 1:
            parts |= {f"source {key}": part for key, part in scores["by_source"].items()
                      if key not in parts}  # fmt: skip
        rows += [_make_line(f"  {name}", part, judged) for name, part in parts.items()]
    return format_table(rows)


def _list_predictions(frame: pl.DataFrame, *more: str) -> list[dict[str, Any]]:
    """The rows of `dev_predictions.json`, in the order of the question file; `more` columns last.

    `judge` is there where there are a judge's verdicts, null where it gave none.
    """
    judge = ["judge"] * ("judge" in frame.columns)
    columns = (
        "id", "question", "predicted_answer", "golden_answers", "em_strict", "em_normalised",
        "substring", *judge, "searches", "stop_reason", *more,
    )  # fmt: skip
    scored = add_scores(frame).drop("id", strict=False)
    return (
        scored.rename({"question_id": "id", "answer": "predicted_answer"})
        .select(columns)
        .to_dicts()
    )


def _make_line(name: str, scores: Mapping[str, Any], judged: bool) -> dict[str, Any]:
    shown = {title: scores.get(key) for title, key in SHOWN.items() if key != "judge" or judged}
    return {"split": name, **shown}
