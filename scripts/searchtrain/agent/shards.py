"""Rollouts in shards: jobs that share the questions, and one table again at the end.

Invariant: a question's shard depends on its id and the number of shards only, and the joined table
is the one that a single job would have written.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from searchtrain.agent.loop import count_rollouts
from searchtrain.core.errors import InputError
from searchtrain.core.files import digest
from searchtrain.data.schemas import Trajectories, validate_table


def take_shard(questions: pl.DataFrame, number: int, count: int) -> pl.DataFrame:
    """The questions of shard `number` (from 1) of `count`, in their order; there may be none."""
    own = [int(digest(key)[:12], 16) % count == number - 1 for key in questions["id"]]
    return questions.filter(pl.Series(own, dtype=pl.Boolean))


def join_shards(questions: pl.DataFrame, tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """All rollouts (`schemas.Trajectories`) in the order of the questions.

    Raises InputError when the tables are not of these questions.
    """
    rows = pl.concat(tables)
    places = questions.select(question_id="id", place=pl.int_range(pl.len()))
    strange = rows.join(places, on="question_id", how="anti")["question_id"].sort()
    missing = places.join(rows, on="question_id", how="anti").height
    fault = f"{missing} of {places.height} questions have no rollout" if missing else ""
    if strange.len():
        fault = f"question {strange[0]!r} is none of questions.parquet"
    if fault:
        remedy = "delete the folder trajectories/ of the results and run again"
        raise InputError(f"shards: {fault}: {remedy}")
    joined = rows.join(places, on="question_id").sort("place", "rollout").drop("place")
    return validate_table(joined, Trajectories, "shards")


def add_reports(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The shards' reports (`agent.report_rollouts`) as one, of what all of them paid for."""
    total: dict[str, Any] = _add(reports)
    rollouts, tokens = total["rollouts"], sum(total["tokens"].values())
    total["rollouts"] = count_rollouts(rollouts["planned"], rollouts["run"], tokens)
    for counts in ("stop_reasons", "repairs"):
        total[counts] = dict(sorted(total[counts].items()))
    return total


def _add(parts: Sequence[Any]) -> Any:
    """Numbers are added, dictionaries key by key."""
    if not isinstance(parts[0], Mapping):
        return round(sum(parts), 6)
    keys = dict.fromkeys(key for part in parts for key in part)
    return {key: _add([part[key] for part in parts if key in part]) for key in keys}
