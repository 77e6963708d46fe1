"""`test.json`: the answers to the test file's questions, as a grader reads them.

Invariant: it has the test file's ids in its order and number.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from searchtrain import config
from searchtrain.core.errors import InputError
from searchtrain.data.answers import find_fault
from searchtrain.evaluation.predictions import select_split

logger = logging.getLogger(__name__)


def make_submission(
    predictions: pl.DataFrame,
    test: pl.DataFrame,
    ids: Sequence[str | int | float],
    path: Any,
    settings: config.Predict,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of `test.json`: `{id, predicted_answer}` for every question of the test file; and
    the form of the answers, as `check_form` counts it.

    `ids`: as from `question_file.load_ids`, so that a numeric id stays a number. An unanswered
    question has an empty text.
    """
    rows = select_split(predictions, "test", test, complete=True, path=path)
    answers = zip(ids, rows["answer"], strict=True)
    records = [{"id": key, "predicted_answer": answer} for key, answer in answers]
    check_submission(records, ids, path)
    form = check_form(records, settings)
    logger.info(
        "test.json: %d answers, %d of them empty, %d not a word or phrase%s",
        form["answers"], form["empty"], form["broken"], f" {form['faults']}" * bool(form["faults"]),
    )  # fmt: skip
    return records, form


def check_form(records: Sequence[Mapping[str, Any]], settings: config.Predict) -> dict[str, Any]:
    """Count the answers of `test.json` that are not a word or phrase (`answers.find_fault`).

    Returns `answers`, `empty`, `broken` and `faults` (kind -> how many). When more than
    `max_long_share` of all answers are broken there is also a `warning` that names three of them,
    or InputError is raised with its text, as `long_answers` says.
    """
    found = [
        (fault, record)
        for record in records
        if (fault := find_fault(record["predicted_answer"], settings.max_answer_words))
    ]
    kinds = dict(sorted(Counter(fault for fault, _ in found).items()))
    form = {
        "answers": len(records),
        "empty": sum(not record["predicted_answer"] for record in records),
        "broken": len(found),
        "faults": kinds,
    }
    if len(found) <= settings.max_long_share * len(records):
        return form
    shown = [
        f"id {record['id']!r} ({fault}): {record['predicted_answer']!r:.60}"
        for fault, record in found[:3]
    ]
    warning = (
        f"test.json: {len(found)} of {len(records)} answers are not a word or phrase of at most"
        f" {settings.max_answer_words} words ({', '.join(f'{k} {n}' for k, n in kinds.items())}),"
        f" for instance {'; '.join(shown)}. Ask for short answers in config/prompts/agent.jinja"
        " and keep only such rollouts (curate.rules.exact_match), or raise"
        " predict.max_long_share or predict.max_answer_words"
    )
    if settings.long_answers == "error":
        raise InputError(warning)
    logger.warning("%s", warning)
    return {**form, "warning": warning}


def check_submission(records: Any, ids: Sequence[str | int | float], path: Any) -> None:
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
            fault = f": {record!r:.80} is not exactly id, predicted_answer"
        elif record["id"] != key or type(record["id"]) is not type(key):
            fault = f": id {record['id']!r} where {path} has {key!r}; keep its ids and their order"
        elif not isinstance(record["predicted_answer"], str):
            fault = (
                f" (id {key!r}): predicted_answer {record['predicted_answer']!r:.60} is not text"
            )
        else:
            continue
        raise InputError(f"the submission: row {number}{fault}")
