"""A model as judge of trajectories: does a right rollout reason its way to the answer (InfoSeek)?

Of rejection sampling this is the part that needs a model; correctness and the mechanical checks
are rules of `curation.rules`. Invariant: every right rollout of a tree question has one row.
"""

import logging
from collections.abc import Mapping
from typing import Any

import orjson
import polars as pl

from searchtrain import config
from searchtrain.agent import grammar
from searchtrain.core.errors import BoundaryError
from searchtrain.core.text_table import format_table
from searchtrain.curation.rollouts import Rollout, join_levels
from searchtrain.curation.rules import CORRECTNESS, RULES
from searchtrain.data.schemas import Shortcuts, empty_table, validate_table
from searchtrain.models.asker import Asker
from searchtrain.models.batch import ask_each
from searchtrain.models.model import Model
from searchtrain.models.reply import make_object_schema
from searchtrain.models.verdicts import describe_judge

logger = logging.getLogger(__name__)

GENUINE_SCHEMA = make_object_schema(reason={"type": "string"}, genuine={"type": "boolean"})
"""What the judge must answer; the reason comes first, so that the verdict can follow from it."""


def select_rollouts(trajectories: pl.DataFrame, questions: pl.DataFrame) -> pl.DataFrame:
    """The rollouts of tree questions that are right, in their order.

    `trajectories`: `schemas.Trajectories`; `questions`: `schemas.Questions`. Right is what passes
    any rule on correctness, be it on or not, so that every rollout which curation may keep is
    judged. Raises InputError for a rollout of an unknown question.
    """
    trees = join_levels(trajectories, questions).filter(pl.col("levels").list.len() > 0)
    checks = [rule.measure for rule in RULES.values() if rule.dimension == CORRECTNESS]
    right = [
        any(check(rollout) for check in checks)
        for rollout in map(Rollout, trees.iter_rows(named=True))
    ]
    return trees.filter(pl.Series(right, dtype=pl.Boolean)).select(trajectories.columns)


async def judge_shortcuts(
    rollouts: pl.DataFrame, system: str, client: Model, settings: config.Shortcuts
) -> pl.DataFrame:
    """Let the judge say of each rollout whether it is genuine; returns `schemas.Shortcuts`.

    `rollouts`: as from `select_rollouts`, whose order is kept; `system`: the rendered prompt. A
    rollout without a usable verdict has `genuine` null. Raises SearchTrainError when more of them
    fail than the config allows.
    """
    requests = [render_request(row) for row in rollouts.iter_rows(named=True)]
    judge = Asker(client, system, GENUINE_SCHEMA, repairs=1)
    given = await ask_each(requests, judge, _read_verdict, settings, "shortcuts")
    judged = [
        (name, *((None, "", verdict.kind) if isinstance(verdict, BoundaryError) else verdict))
        for name, verdict in zip(rollouts["id"], given, strict=True)
    ]
    frame = pl.DataFrame(judged, schema=empty_table(Shortcuts).schema, orient="row")
    return validate_table(frame, Shortcuts, "shortcuts")


def render_request(row: Mapping[str, Any]) -> str:
    """The judge's user message: the question, and the turns and observations after it."""
    shown = (grammar.ASSISTANT, grammar.OBSERVATION)
    trajectory = [message for message in row["messages"] if message["role"] in shown]
    return orjson.dumps({"question": row["question"], "trajectory": trajectory}).decode()


def make_report(shortcuts: pl.DataFrame, rollouts: int, client: Model) -> dict[str, Any]:
    """`shortcuts_report.json`: the judge, its verdicts, and what they cost.

    `rollouts`: that there were, right or not. Requests, tokens and `dollars` are those paid now,
    `all_dollars` as if nothing had been cached.
    """
    genuine = shortcuts["genuine"]
    counts = {
        "rollouts": rollouts,
        "judged": shortcuts.height,
        "genuine": int(genuine.sum()),
        "shortcuts": int((~genuine).sum()),
        "invalid": genuine.null_count(),
    }
    logger.info(
        "%d of %d judged rollouts are genuine:\n%s",
        counts["genuine"], counts["judged"], format_table([counts]),
    )  # fmt: skip
    return {**counts, **describe_judge(client, shortcuts["error"])}


def _read_verdict(value: Mapping[str, Any]) -> tuple[bool, str, str]:
    return value["genuine"], " ".join(value["reason"].split()), ""
