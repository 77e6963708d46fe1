"""The last turn of a kept rollout, stating its answer in the form in which it is to be learnt.

An answer is worth nothing in another form than the score asks for: Hotpot exact match fell from
0.204 to 0.097 by training on verbose traces and rose to 0.401 with short ones, facts unchanged.
Invariant: only what stands in the last turn's answer changes, and every change is marked; a turn
that was forced stays as it is.
"""

import logging
from collections import Counter
from typing import Any, NamedTuple

import polars as pl

from searchtrain import config
from searchtrain.agent import grammar
from searchtrain.core.errors import ProtocolError
from searchtrain.curation.rollouts import JUDGED, Rollout
from searchtrain.data.answers import clean_answer
from searchtrain.data.equivalence import match_meaning

logger = logging.getLogger(__name__)

ALIAS = "alias"
CLEANED = "cleaned"


class Statement(NamedTuple):
    """What a last turn states in place of the model's own words, and how these meant it."""

    text: str
    change: str
    """One of `schemas.FORM_CHANGES`, empty where the words stay."""


def restate_answers(
    rollouts: pl.DataFrame, settings: config.AnswerForms, *, clean: bool
) -> pl.DataFrame:
    """Let the last turn, `answer` and `raw` have the answer that is learnt; add `gold_form` and
    `form_change`.

    `rollouts`: `schemas.Trajectories`, with `equivalent` (`schemas.Equivalents`) where a judge was
    asked; `clean`: what stands around an answer is taken away where no golden one takes its place.
    """
    changed: dict[str, list[Any]] = {"messages": [], "answer": [], "raw": []}
    forms, changes = [], []
    for row in rollouts.iter_rows(named=True):
        statement = find_statement(Rollout(row, settings), clean=clean)
        messages, raw = row["messages"], row["raw"]
        if statement.change:
            own = messages[-1]["content"]
            turn = grammar.parse_turn(own)
            told = grammar.render_turn(turn.think, answer=statement.text)
            messages = [*messages[:-1], {**messages[-1], "content": told}]
            raw = [*raw[:-1], raw[-1] or own]
        changed["messages"].append(messages)
        changed["raw"].append(raw)
        changed["answer"].append(statement.text)
        forms.append(statement.text if statement.change not in ("", CLEANED) else "")
        changes.append(statement.change)
    if any(changes):
        counts = Counter(change or "as written" for change in changes)
        said = ", ".join(f"{name} {count}" for name, count in counts.most_common())
        logger.info("answers of the kept rollouts: %s", said)
    columns = [
        pl.Series(name, values, dtype=rollouts.schema[name]) for name, values in changed.items()
    ]
    return rollouts.with_columns(
        *columns,
        pl.Series("gold_form", forms, dtype=pl.String),
        pl.Series("form_change", changes, dtype=pl.String),
    )


def find_statement(rollout: Rollout, *, clean: bool) -> Statement:
    """What a rollout's last turn is to state; its own words where there is nothing better."""
    row, own = rollout.row, rollout.answer
    if row["stop_reason"] != "answered" or not _ends_with_answer(row["messages"]):
        return Statement(own, "")
    gold = _find_gold(rollout) if rollout.answers.form == "gold" else None
    if gold is not None:
        return gold if gold.text != own else Statement(own, "")
    cleaned = clean_answer(own) if clean else own
    return Statement(cleaned, CLEANED if cleaned != own else "")


def _find_gold(rollout: Rollout) -> Statement | None:
    meaning, alias = rollout.meaning, rollout.alias
    # A golden answer in which the grammar's tags stand would break the turn.
    if meaning is None or alias is None or grammar.ANY_TAG.search(alias):
        return None
    match = match_meaning(rollout.answer, [alias], rollout.answers.max_words)
    if match:
        return Statement(alias.strip(), match.kind)
    return Statement(alias.strip(), JUDGED if meaning.kind == JUDGED else ALIAS)


def _ends_with_answer(messages: list[dict[str, str]]) -> bool:
    try:
        return grammar.parse_turn(messages[-1]["content"]).answer is not None
    except (IndexError, ProtocolError):
        return False
