"""A model as judge of answers (SimpleDeepSearcher's LLM judge, LasJ).

The judge sees question, golden answers and the predicted answer as one JSON object, so no answer
can pose as the task. Invariant: every prediction has one row, and equal requests are sent once.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import polars as pl

from searchtrain import config
from searchtrain.core.errors import BoundaryError
from searchtrain.core.text_table import format_table
from searchtrain.data.schemas import Judgements, empty_table, validate_table
from searchtrain.evaluation.predictions import add_columns, check_ids
from searchtrain.models.asker import Asker
from searchtrain.models.batch import ask_each
from searchtrain.models.model import Model
from searchtrain.models.verdicts import VERDICT_SCHEMA, read_verdict, render_request

logger = logging.getLogger(__name__)

BLANK = "There is no answer."
"""The reason of the verdict on a blank answer, for which there is no request."""


def select_answers(
    predictions: pl.DataFrame, golds: Mapping[str, pl.DataFrame], paths: Mapping[str, Any]
) -> pl.DataFrame:
    """The predictions whose golden answers are known, in their order, to be judged.

    `predictions`: `schemas.Predictions`; `golds`: split -> `id` and `golden_answers`; `paths`:
    split -> file, for messages. Returns `split`, `question_id`, `question`, `golden_answers` and
    `answer`. Raises InputError for an id without golden answers, or predicted twice.
    """
    frames = []
    for split, answers in golds.items():
        rows = predictions.filter(pl.col("split") == split)
        check_ids(rows["question_id"], answers["id"], split, paths[split])
        frames.append(add_columns(rows.drop("golden_answers"), answers, "golden_answers"))
    return pl.concat(frames).select("split", "question_id", "question", "golden_answers", "answer")


async def judge_predictions(
    rows: pl.DataFrame, system: str, client: Model, settings: config.Judge
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Let the judge say which answers are right; returns `schemas.Judgements` and what it cost.

    `rows`: as from `select_answers`; `system`: the rendered prompt. A blank answer is wrong without
    a request; every other has one, since the verdict is a measure of its own. An answer without a
    usable verdict has `correct` null. Raises SearchTrainError when more answers fail than the
    config allows.

    The second value counts `requests`, `cached`, `retries`, `repairs`, tokens and `dollars` paid
    now, and as `all_prompt_tokens`, `all_completion_tokens` and `all_dollars` what the verdicts
    cost if none of them had been in the cache.
    """
    asked = rows.select("question", "golden_answers", "answer").iter_rows()
    requests = [render_request(*row) if row[2].strip() else None for row in asked]
    distinct = list(dict.fromkeys(filter(None, requests)))
    judge = Asker(client, system, VERDICT_SCHEMA, repairs=1)
    given = await ask_each(distinct, judge, read_verdict, settings, "judge")
    answers = [(None, "", v.kind) if isinstance(v, BoundaryError) else v for v in given]
    verdicts = dict(zip(distinct, answers, strict=True))
    judged = [verdicts[request] if request else (False, BLANK, "") for request in requests]
    columns = empty_table(Judgements).select("correct", "reason", "error").schema
    frame = rows.select("split", "question_id").hstack(pl.DataFrame(judged, columns, orient="row"))
    return validate_table(frame, Judgements, "judgements"), _count_usage(client, len(distinct))


def make_report(
    judgements: pl.DataFrame, usage: Mapping[str, Any], model: str, revision: str
) -> dict[str, Any]:
    """`judge_report.json`: the judge, its verdicts per split, and `cost` as `usage` has it."""
    splits = {
        split: {
            "n": part.len(),
            "correct": int(part.sum()),
            "incorrect": int((~part).sum()),
            "invalid": part.null_count(),
        }
        for (split,), rows in judgements.group_by("split", maintain_order=True)
        for part in [rows["correct"]]
    }
    errors = Counter(filter(None, judgements["error"]))
    logger.info("verdicts:\n%s", format_table([{"split": key, **splits[key]} for key in splits]))
    logger.info(
        "cost: $%.4f now, $%.4f if nothing had been cached", usage["dollars"], usage["all_dollars"]
    )
    return {
        "model": model,
        "revision": revision,
        "splits": splits,
        "errors": dict(sorted(errors.items())),
        "cost": dict(usage),
    }


def _count_usage(client: Model, distinct: int) -> dict[str, Any]:
    usage, tokens = client.usage, ("prompt_tokens", "completion_tokens")
    return {
        "asked": distinct,
        **{name: usage[name] for name in ("requests", "cached", "retries", "repairs", *tokens)},
        "dollars": round(client.cost(), 6),
        **{f"all_{name}": usage[name] + usage[f"cached_{name}"] for name in tokens},
        "all_dollars": round(client.cost(cached=True), 6),
    }
