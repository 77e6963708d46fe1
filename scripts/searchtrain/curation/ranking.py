"""The order of the judged rollouts: within a question, and of the questions.

Invariant: no two chosen rollouts share a place, so that equal input gives an equal choice.
"""

from collections.abc import Iterable

import polars as pl

from searchtrain.agent.waves import HINTED

BEST = "per_question"
CAP = "max_kept"


def rank_rollouts(
    judged: pl.DataFrame, rules: Iterable[str], per_question: int, max_kept: int | None
) -> pl.DataFrame:
    """Add the choice and the two orders to rollouts with a column for each of `rules`.

    `valid`; `rank` among the question's valid ones; `place` of the question in the input and
    `hardness` among the questions; whether it is one of the best (`per_question`), within the cap
    (`max_kept`; true for what is not chosen anyway), and `kept`. `max_kept_value` is the place in
    the queue of those that were chosen, null for the others.
    """
    order = pl.struct("hinted", "searches", "words", "rollout", "row")
    # Of several with the same queries only the best is another way to the answer.
    other = pl.struct("hinted", "again", "searches", "words", "rollout", "row")
    fewest = pl.col("searches").filter("correct").min().over("question_id").fill_null(-1)
    ranked = (
        judged.with_columns(
            pl.all_horizontal(pl.lit(True), *rules).alias("valid"),
            pl.col("row").min().over("question_id").alias("place"),
            fewest.alias("fewest"),
            (pl.col("wave") == HINTED).alias("hinted"),
        )
        .with_columns(
            (order.rank("ordinal").over("question_id", "valid", "queries") > 1).alias("again")
        )
        .with_columns(
            pl.when("valid")
            .then(other.rank("ordinal").over("question_id", "valid").cast(pl.Int64) - 1)
            .alias("rank"),
            pl.struct("difficulty", -pl.col("fewest"), "place").rank("dense").alias("hardness"),
        )
        .with_columns((pl.col("valid") & (pl.col("rank") < per_question)).alias(BEST))
    )
    if max_kept is None:
        return ranked.with_columns(pl.col(BEST).alias("kept"))
    # The hardest question's best rollout is the first of the queue.
    queue = pl.when(BEST).then(pl.struct("hardness", "rank")).rank("ordinal").cast(pl.Float64)
    return (
        ranked.with_columns(queue.alias(f"{CAP}_value"))
        .with_columns((pl.col(f"{CAP}_value") <= max_kept).fill_null(True).alias(CAP))
        .with_columns((pl.col(BEST) & pl.col(CAP)).alias("kept"))
    )
