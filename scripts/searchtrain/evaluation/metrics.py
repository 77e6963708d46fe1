"""`metrics.json`: the scores of every split whose answers are known, and the predictions listed.

Invariant: what the product answers is scored whole; baselines a run may leave out.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.core.errors import InputError
from searchtrain.data.schemas import SPLITS, Scores, empty_table, name_questions
from searchtrain.evaluation.gaps import trace_gaps
from searchtrain.evaluation.hops import add_hops
from searchtrain.evaluation.predictions import (
    add_columns,
    add_verdicts,
    list_others,
    select_split,
)
from searchtrain.evaluation.scores import add_scores, score_answers
from searchtrain.evaluation.tables import format_metrics

logger = logging.getLogger(__name__)

Describe = Callable[[str, pl.DataFrame], dict[str, Any]]
"""The conditions of a split's predictions, by its name and its rows."""


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
    corpus: Path | None = None,
    describe: Describe,
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]], pl.DataFrame]:
    """Score every split that has answers; returns `metrics.json`, the predictions to list, and
    `schemas.Scores`.

    `dev`, `test`: as from `question_file.load_questions`; `answers`: as from `load_answers`, None
    when the test answers are not known: then test is not scored. `types`: id -> type, of dev
    questions. `benchmarks`: as from `benchmarks.read_benchmarks`, its types are the benchmarks;
    `judgements`: `schemas.Judgements`. `paths`: `dev`, `test`, `answers` and `benchmarks`, for
    messages. `corpus`: of the passages that searches retrieved, None where it is not known;
    `describe`: the conditions of a split's predictions. The second value has the rows of
    `dev_predictions.json` as `dev`, and those of `benchmark_predictions.json` as `benchmarks`.
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
    frames = {}
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
        frames[split] = add_hops(add_scores(frame))
    frames = trace_gaps(frames, corpus)
    metrics = {
        split: {**score_answers(frame), "conditions": describe(split, frame)}
        for split, frame in frames.items()
    }
    logger.info("scores:\n%s", format_metrics(metrics))
    columns = {"dev": (), "benchmarks": ("source", "type")}
    listings = {
        split: _list_predictions(frame, *columns[split])
        for split, frame in frames.items()
        if split in columns
    }
    return metrics, listings, _list_scores(frames)


def _list_predictions(frame: pl.DataFrame, *more: str) -> list[dict[str, Any]]:
    """The rows of `dev_predictions.json`, in the order of the question file; `more` columns last.

    `judge` is there where there are a judge's verdicts, null where it gave none.
    """
    judge = ["judge"] * ("judge" in frame.columns)
    columns = (
        "id", "question", "predicted_answer", "golden_answers", "em_strict", "em_normalised",
        "substring", *judge, "searches", "stop_reason", "cause", *more,
    )  # fmt: skip
    return (
        frame.drop("id", strict=False)
        .rename({"question_id": "id", "answer": "predicted_answer"})
        .select(columns)
        .to_dicts()
    )


def _list_scores(frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    columns = empty_table(Scores).columns
    return pl.concat(
        [frame.with_columns(split=pl.lit(split)).select(columns) for split, frame in frames.items()]
    )
