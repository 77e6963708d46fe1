"""A model as judge of meaning: the answers that no rule takes for right, where the trace has one.

Invariant: only what could be used is asked about: a rollout that ended with an answer of its own
and whose observations hold a golden answer; equal requests are sent once.
"""

import logging
from typing import Any

import polars as pl

from searchtrain import config
from searchtrain.core.errors import BoundaryError
from searchtrain.core.text_table import format_table
from searchtrain.curation.rollouts import Rollout
from searchtrain.data.schemas import Equivalents, empty_table, validate_table
from searchtrain.models.asker import Asker
from searchtrain.models.batch import ask_each
from searchtrain.models.model import Model
from searchtrain.models.verdicts import (
    VERDICT_SCHEMA,
    describe_judge,
    read_verdict,
    render_request,
)

logger = logging.getLogger(__name__)


def select_answers(trajectories: pl.DataFrame, answers: config.AnswerForms) -> pl.DataFrame:
    """The rollouts to be judged, in their order (`schemas.Trajectories`)."""
    asked = [
        row["stop_reason"] == "answered" and _is_open(Rollout(row, answers))
        for row in trajectories.iter_rows(named=True)
    ]
    return trajectories.filter(pl.Series(asked, dtype=pl.Boolean))


async def judge_equivalents(
    rollouts: pl.DataFrame, system: str, client: Model, settings: config.AnswerForms
) -> pl.DataFrame:
    """Let the judge say of each answer whether it means a golden one: `schemas.Equivalents`.

    `rollouts`: as from `select_answers`, whose order is kept; `system`: the rendered prompt. An
    answer without a usable verdict has `equivalent` null. Raises SearchTrainError when more of
    them fail than the config allows.
    """
    asked = rollouts.select("question", "golden_answers", "answer").iter_rows()
    requests = [render_request(*row) for row in asked]
    distinct = list(dict.fromkeys(requests))
    judge = Asker(client, system, VERDICT_SCHEMA, repairs=1)
    given = await ask_each(distinct, judge, read_verdict, settings, "curate.answers")
    answers = [(None, "", v.kind) if isinstance(v, BoundaryError) else v for v in given]
    verdicts = dict(zip(distinct, answers, strict=True))
    judged = [
        (name, *verdicts[request]) for name, request in zip(rollouts["id"], requests, strict=True)
    ]
    frame = pl.DataFrame(judged, schema=empty_table(Equivalents).schema, orient="row")
    return validate_table(frame, Equivalents, "equivalents")


def make_report(equivalents: pl.DataFrame, rollouts: int, client: Model) -> dict[str, Any]:
    """`equivalents_report.json`: the judge, its verdicts, and what they cost.

    `rollouts`: that there were. Requests, tokens and `dollars` are those paid now, `all_dollars` as
    if nothing had been cached.
    """
    verdicts = equivalents["equivalent"]
    counts = {
        "rollouts": rollouts,
        "judged": equivalents.height,
        "equivalent": int(verdicts.sum()),
        "different": int((~verdicts).sum()),
        "invalid": verdicts.null_count(),
    }
    logger.info(
        "%d of %d judged answers mean a golden one:\n%s",
        counts["equivalent"], counts["judged"], format_table([counts]),
    )  # fmt: skip
    return {**counts, **describe_judge(client, equivalents["error"])}


def _is_open(rollout: Rollout) -> bool:
    if not rollout.answer.strip() or not rollout.row["searches"]:
        return False
    return rollout.meaning is None and rollout.alias is not None
