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


def add_verdicts(frame: pl.DataFrame, split: str, judgements: pl.DataFrame | None) -> pl.DataFrame:
    """Add the column `judge` (Boolean, null where the judge gave no verdict), if there are any.

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
