"""The predictions of one split beside its questions, and the judge's verdicts beside them.

Invariant: one row a question, in the order of the question file.
"""

from typing import Any

import polars as pl

from searchtrain.core.errors import InputError


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
    check_ids(ids, questions["id"], split, path)
    missing = list_others(questions["id"], ids)
    if complete and not missing.is_empty():
        raise InputError(
            f"predictions of split {split!r}: {ids.len()} of the {questions.height} questions of"
            f" {path} have one; first without: id {missing[0]!r}; predict again"
        )
    return questions.select("question", "source", question_id="id").join(
        rows, on="question_id", maintain_order="left"
    )


def check_ids(ids: pl.Series, known: pl.Series, split: str, path: Any) -> None:
    """Raise InputError for the id of a prediction that is not in the question file or comes twice.

    `known`: the ids of the file at `path`.
    """
    repeated = ids.filter(ids.is_duplicated())
    unknown = list_others(ids, known)
    for fault, keys in (("is not in", unknown), ("has several predictions for", repeated)):
        if not keys.is_empty():
            raise InputError(
                f"predictions of split {split!r}: id {keys[0]!r} {fault} {path};"
                " predict again from the present file, one rollout a question"
            )


def list_others(ids: pl.Series, known: pl.Series) -> pl.Series:
    """The ids that are not among the known ones, in their order."""
    return ids.filter(~ids.is_in(known.implode()))


def add_columns(frame: pl.DataFrame, questions: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Add columns of a question or answer file to predictions, in the order of the predictions."""
    return frame.join(
        questions.select(*columns, question_id="id"),
        on="question_id", how="left", maintain_order="left",
    )  # fmt: skip


def add_verdicts(frame: pl.DataFrame, split: str, judgements: pl.DataFrame | None) -> pl.DataFrame:
    """Add the column `judge` (Boolean, null where the judge gave no verdict), if there are any.

    `frame`: predictions of the split with `question_id`; `judgements`: `schemas.Judgements`.
    Raises InputError when only a part of the split was judged.
    """
    verdicts = None if judgements is None else judgements.filter(pl.col("split") == split)
    if verdicts is None or verdicts.is_empty():
        return frame
    missing = list_others(frame["question_id"], verdicts["question_id"])
    if not missing.is_empty():
        raise InputError(
            f"judgements of split {split!r}: none for id {missing[0]!r} ({missing.len()} such ids);"
            " judge again from the present predictions"
        )
    return add_columns(frame, verdicts.rename({"question_id": "id", "correct": "judge"}), "judge")
