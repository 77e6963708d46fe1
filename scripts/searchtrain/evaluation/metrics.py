"""Scores of predicted answers, and the files that report them.

Exact match comes twice: strict (the search-augmented task's: letter case and outer white space
do not count) and normalised (SQuAD's steps, as Search-R1 and FlashRAG run them). Beside them stand
F1, substring accuracy and, where a judge was asked, the share that it found right. Invariant: a
blank answer is never right, and `test.json` has the test file's ids in its order and number.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from searchtrain.core.errors import InputError
from searchtrain.core.text_table import format_table
from searchtrain.data.answers import (
    find_fault,
    match_normalised,
    match_strict,
    match_substring,
    measure_f1,
)

logger = logging.getLogger(__name__)

SCORES = {
    "em_strict": pl.Boolean,
    "em_normalised": pl.Boolean,
    "substring": pl.Boolean,
    "f1": pl.Float64,
}
GROUPS = {"by_type": "type", "by_source": "source"}
"""What the scores are given apart for, and the column that says so."""
TEST_SPLITS = ("test", "test_closed_book", "test_untrained")


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


def add_verdicts(frame: pl.DataFrame, split: str, judgements: pl.DataFrame | None) -> pl.DataFrame:
    """Add the column `judge` (Boolean, null where the judge gave no verdict), if it was asked.

    `frame`: predictions of the split with `question_id`; `judgements`: `schemas.Judgements`.
    Raises InputError when only a part of the split was judged.
    """
    if judgements is None:
        return frame
    verdicts = judgements.filter(pl.col("split") == split)
    if verdicts.is_empty():
        return frame
    missing = frame["question_id"].filter(
        ~frame["question_id"].is_in(verdicts["question_id"].implode())
    )
    if not missing.is_empty():
        raise InputError(
            f"judgements of split {split!r}: none for id {missing[0]!r} ({missing.len()} such ids);"
            " judge again from the present predictions"
        )
    return frame.join(
        verdicts.select("question_id", pl.col("correct").alias("judge")),
        on="question_id", how="left", maintain_order="left",
    )  # fmt: skip


def score_answers(frame: pl.DataFrame) -> dict[str, Any]:
    """The scores of one split, all means over its questions.

    `frame`: one row a question with `answer`, `golden_answers`, `type` (text or null), `source`,
    `searches`, `stop_reason` and, if a judge was asked, `judge`. Returns `n`, the names of
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


def select_split(
    predictions: pl.DataFrame, split: str, questions: pl.DataFrame, *, complete: bool, path: Any
) -> pl.DataFrame:
    """The predictions of one split in the order of its questions, one row a question.

    `predictions`: `schemas.Predictions`; `questions`: `id`, `question` and `source`, which are
    taken from there; `path`: of the question file, for messages. With `complete` every question
    must have a prediction. Raises InputError naming the first id that is missing, unknown or there
    twice.
    """
    rows = predictions.filter(pl.col("split") == split)
    rows = rows.drop("golden_answers", "question", "source").with_columns(
        pl.col("answer").str.strip_chars()
    )
    ids = rows["question_id"]
    unknown = ids.filter(~ids.is_in(questions["id"].implode()))
    repeated = ids.filter(ids.is_duplicated())
    missing = questions["id"].filter(~questions["id"].is_in(ids.implode()))
    for fault, keys in (("is not in", unknown), ("has several predictions for", repeated)):
        if not keys.is_empty():
            raise InputError(
                f"predictions of split {split!r}: id {keys[0]!r} {fault} {path};"
                " predict again from the present file, one rollout a question"
            )
    if complete and not missing.is_empty():
        raise InputError(
            f"predictions of split {split!r}: {ids.len()} of the {questions.height} questions of"
            f" {path} have one; first without: id {missing[0]!r}; predict again"
        )
    return questions.select(pl.col("id").alias("question_id"), "question", "source").join(
        rows, on="question_id", how="inner", maintain_order="left"
    )


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

    `dev`, `test`: as from `questions.load_questions`; `answers`: as from `load_answers`, None when
    the test answers are not known: then test is not scored. `types`: id -> type, of dev questions.
    `benchmarks`: as from `benchmarks.read_evaluation`, its types are the benchmarks; `judgements`:
    `schemas.Judgements`. `paths`: `dev`, `test`, `answers` and `benchmarks`, for messages. The
    second value has the rows of `dev_predictions.json` as `dev`, and those of
    `benchmark_predictions.json` as `benchmarks`.
    """
    labelled = dev.with_columns(
        pl.col("id").replace_strict(types, default=None, return_dtype=pl.String).alias("type")
    )
    splits = {"dev": (dev, labelled, paths["dev"])}
    if answers is not None:
        unknown = test["id"].filter(~test["id"].is_in(answers["id"].implode()))
        if not unknown.is_empty():
            raise InputError(
                f"{paths['answers']}: no answer for id {unknown[0]!r} of {paths['test']}"
                f" ({unknown.len()} such ids); give the answers of this test file or none"
            )
        splits |= dict.fromkeys(TEST_SPLITS, (test, answers, paths["test"]))
    if benchmarks is not None:
        splits["benchmarks"] = (benchmarks, benchmarks, paths["benchmarks"])
    metrics = {}
    listings = {}
    for split, (asked, known, path) in splits.items():
        complete = split not in TEST_SPLITS[1:]
        rows = select_split(predictions, split, asked, complete=complete, path=path)
        if rows.is_empty():
            continue
        golds = known.select(pl.col("id").alias("question_id"), "golden_answers", "type")
        frame = rows.join(golds, on="question_id", how="left", maintain_order="left")
        frame = add_verdicts(frame, split, judgements)
        metrics[split] = score_answers(frame)
        if split == "dev":
            listings[split] = _list_predictions(frame)
        elif split == "benchmarks":
            listings[split] = _list_predictions(frame, "source", "type")
    logger.info("scores:\n%s", format_metrics(metrics))
    return metrics, listings


def make_submission(
    predictions: pl.DataFrame,
    test: pl.DataFrame,
    ids: Sequence[str | int],
    path: Any,
    max_words: int,
    max_share: float,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of `test.json`: `{id, predicted_answer}` for every question of the test file; and
    the form of the answers, as `check_form` counts it.

    `ids`: as `questions.load_ids` gives them, so that a numeric id stays a number. An unanswered
    question has an empty text. Raises InputError when more than `max_share` of the answers are
    not a word or phrase of at most `max_words` words.
    """
    rows = select_split(predictions, "test", test, complete=True, path=path)
    records = [
        {"id": key, "predicted_answer": answer}
        for key, answer in zip(ids, rows["answer"], strict=True)
    ]
    check_submission(records, ids, path)
    form = check_form(records, max_words, max_share)
    logger.info(
        "test.json: %d answers, %d of them empty, %d not a word or phrase (%s)",
        form["answers"], form["empty"], form["broken"], form["faults"],
    )  # fmt: skip
    return records, form


def check_form(
    records: Sequence[Mapping[str, Any]], max_words: int, max_share: float
) -> dict[str, Any]:
    """Count the answers of `test.json` that are not a word or phrase (`answers.find_fault`).

    Returns `answers`, `empty`, `broken` and `faults` (kind -> how many). Raises InputError naming
    three of them when more than `max_share` of all answers are broken.
    """
    found = {
        record["id"]: fault
        for record in records
        if (fault := find_fault(record["predicted_answer"], max_words))
    }
    kinds = dict(sorted(Counter(found.values()).items()))
    if len(found) > max_share * len(records):
        shown = [
            f"id {record['id']!r} ({found[record['id']]}): {record['predicted_answer']!r:.60}"
            for record in records
            if record["id"] in found
        ]
        raise InputError(
            f"test.json: {len(found)} of {len(records)} answers are not a word or phrase of at most"
            f" {max_words} words ({', '.join(f'{kind} {n}' for kind, n in kinds.items())}), for"
            f" instance {'; '.join(shown[:3])}. Ask for short answers in config/prompts/agent.jinja"
            " and keep only such rollouts (curate.rules.exact_match), or raise"
            " predict.max_long_share or predict.max_answer_words"
        )
    return {
        "answers": len(records),
        "empty": sum(not record["predicted_answer"] for record in records),
        "broken": len(found),
        "faults": kinds,
    }


def check_submission(records: Any, ids: Sequence[str | int], path: Any) -> None:
    """Check `test.json` against the test file as a grader would: count, ids, order, fields.

    Raises InputError naming the first fault; `path` is the test file, for the message.
    """
    if not isinstance(records, list):
        raise InputError(f"the submission is no array; it must have one object per row of {path}")
    if len(records) != len(ids):
        raise InputError(
            f"the submission has {len(records)} answers where {path} has {len(ids)} questions;"
            " every question needs exactly one, an unanswered one an empty text"
        )
    for number, (record, key) in enumerate(zip(records, ids, strict=True), 1):
        if not isinstance(record, dict) or set(record) != {"id", "predicted_answer"}:
            raise InputError(
                f"the submission: row {number}: {record!r:.80} is not exactly id, predicted_answer"
            )
        if record["id"] != key or type(record["id"]) is not type(key):
            raise InputError(
                f"the submission: row {number}: id {record['id']!r} where {path} has {key!r};"
                " keep its ids and their order"
            )
        if not isinstance(record["predicted_answer"], str):
            raise InputError(
                f"the submission: row {number} (id {key!r}): predicted_answer"
                f" {record['predicted_answer']!r:.60} is not text"
            )


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


def _average(scored: pl.DataFrame) -> dict[str, Any]:
    means = {name: round(float(scored[name].mean()), 6) for name in SCORES}
    if "judge" in scored.columns:
        means["judge"] = round(float(scored["judge"].fill_null(value=False).mean()), 6)
        means["judge_invalid"] = scored["judge"].null_count()
    reasons = Counter(scored["stop_reason"].to_list())
    return {
        "n": scored.height,
        **means,
        "mean_searches": round(float(scored["searches"].mean()), 6),
        "unanswered": int((scored["answer"].str.strip_chars() == "").sum()),
        "stop_reasons": dict(sorted(reasons.items())),
    }


def _list_predictions(frame: pl.DataFrame, *more: str) -> list[dict[str, Any]]:
    """The rows of `dev_predictions.json`, in the order of the question file; `more` columns last.

    `judge` is there where a judge was asked, null where it gave no verdict.
    """
    return (
        add_scores(frame)
        .select(
            pl.col("question_id").alias("id"),
            "question",
            pl.col("answer").alias("predicted_answer"),
            "golden_answers",
            "em_strict",
            "em_normalised",
            "substring",
            *[name for name in ("judge",) if name in frame.columns],
            "searches",
            "stop_reason",
            *more,
        )
        .to_dicts()
    )


def _make_line(name: str, scores: Mapping[str, Any], judged: bool) -> dict[str, Any]:
    return {
        "split": name,
        "n": scores["n"],
        "EM strict": scores["em_strict"],
        "EM normalised": scores["em_normalised"],
        "substring": scores["substring"],
        "F1": scores["f1"],
        **({"judge": scores.get("judge")} if judged else {}),
        "searches": scores["mean_searches"],
        "unanswered": scores["unanswered"],
    }
