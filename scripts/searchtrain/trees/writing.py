"""From a finished tree to its question, written by a model and checked for names it must hide.

The writer sees the tree without the names of the root and of the inner nodes. Invariant: no
question that leaves here holds one of these names, or an alias, as whole words, and none occurs
twice.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import polars as pl

from searchtrain import config
from searchtrain.core.errors import BoundaryError, ReplyError
from searchtrain.core.files import digest
from searchtrain.data.schemas import WrittenTrees, empty_table
from searchtrain.models.asker import Asker, Bill
from searchtrain.models.batch import work_through
from searchtrain.models.failures import settle
from searchtrain.models.pool import FailureLimit
from searchtrain.models.reply import make_object_schema
from searchtrain.trees.names import find_name, list_names, split_words
from searchtrain.trees.pages import PageStore
from searchtrain.trees.tree import Node, hide_names, list_inner, unflatten

logger = logging.getLogger(__name__)

QUESTION_SCHEMA = make_object_schema(question={"type": "string"})
"""What a writer is asked for."""

MAX_REPLY_CHARS = 4000
"""Longer answers of a writer are refused."""
LEAKED = "The question names node {}; describe it by its claims and kind."


async def write_questions(
    trees: pl.DataFrame, writer: Asker, pages: PageStore, settings: config.Trees
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Write a question for every finished tree.

    `trees`: `schemas.Trees`. Returns `schemas.WrittenTrees`, the finished trees in their order
    without those whose question repeats another's, and what happened. A tree whose question still
    leaks after the last attempt has `leak`, one whose writer failed nothing; both have no question.
    Raises SearchTrainError when the writer fails for more than `settings.max_failed_share`.
    """
    done = trees.filter(status="done").to_dicts()
    failures = FailureLimit(len(done), settings.max_failed_share, "trees.max_failed_share")
    refused: Counter[str] = Counter()

    async def write(row: dict[str, Any]) -> tuple[dict[str, Any], BoundaryError | None]:
        bill = Bill()
        written = _write(row, writer, pages, settings, bill, refused)
        (question, leak), error = await settle(written, ("", ""))
        cost = row["cost"] + bill.dollars
        return {**row, "cost": cost, "question": question, "leak": leak}, error

    model = writer.model
    rows = await work_through(done, write, failures, [model])
    kept, dropped = drop_repeated(rows)
    report = {
        "trees": trees.height,
        "done": len(done),
        "written": sum(bool(row["question"]) for row in kept),
        "leaked": sum(bool(row["leak"]) for row in kept),
        "failed": dict(sorted(failures.kinds.items())),
        "refused_questions": dict(sorted(refused.items())),
        "dropped": dropped,
        "models": {model.role.name: {**model.usage, "dollars": round(model.cost(), 6)}},
    }
    logger.info(
        "%(written)d questions of %(done)d trees, %(leaked)d leaked a name, dropped: %(dropped)s",
        report,
    )
    return pl.DataFrame(kept, schema=empty_table(WrittenTrees).schema), report


def drop_repeated(
    rows: Sequence[Mapping[str, Any]],
) -> tuple[list[Mapping[str, Any]], dict[str, int]]:
    """Leave every question once; one that stands with two answers has none and goes altogether.

    `rows`: `question` and `answer`. Returns the rows that stay and how many went for what.
    """
    texts = [" ".join(split_words(row["question"])) for row in rows]
    answers = defaultdict(set)
    for text, row in zip(texts, rows, strict=True):
        answers[text].add(row["answer"])
    kept, seen = [], set()
    dropped = {"duplicate": 0, "ambiguous": 0}
    for text, row in zip(texts, rows, strict=True):
        if not text:
            kept.append(row)
        elif len(answers[text]) > 1:
            dropped["ambiguous"] += 1
        elif text in seen:
            dropped["duplicate"] += 1
        else:
            seen.add(text)
            kept.append(row)
    return kept, dropped


def list_hidden(tree: Node, pages: PageStore) -> dict[str, list[str]]:
    """The names that a tree's question must not hold, by the node's id."""
    hidden = {}
    for node in list_inner(tree):
        page = pages.read(node.page)
        hidden[node.id] = list_names(node.entity or "", page.aliases if page else ())
    return hidden


async def _write(
    row: Mapping[str, Any],
    writer: Asker,
    pages: PageStore,
    settings: config.Trees,
    bill: Bill,
    refused: Counter[str],
) -> tuple[str, str]:
    """The question, or nothing and the name that it leaked."""
    tree = unflatten(row["nodes"])
    hidden = list_hidden(tree, pages)
    request = {"tree": hide_names(tree).to_json()}
    faults: list[str] = []
    leak = ""
    for attempt in range(settings.attempts + 1):
        seed = int(digest([settings.seed, row["id"], attempt])[:7], 16)
        try:
            question = await writer.ask(
                {**request, "faults": faults}, _read_question, seed=seed, bill=bill
            )
        except ReplyError as error:
            if attempt == settings.attempts:
                raise
            kind, fault = error.kind, str(error)
        else:
            found = ((find_name(question, names), key) for key, names in hidden.items())
            leak, name = next(filter(itemgetter(0), found), ("", ""))
            if not leak:
                return question, ""
            kind, fault = "leak", LEAKED.format(name)
        refused[kind] += 1
        faults = [*faults, fault]
    return "", leak


def _read_question(value: Mapping[str, Any]) -> str:
    question = " ".join(value["question"].split())
    if not question:
        raise ReplyError("The question is empty.", "schema")
    return question
