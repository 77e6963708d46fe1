"""Whether a golden answer stands in what a rollout read, and in what its searches retrieved.

Read is what the model had before it: the passages in its observations, cut and refined as they
were. Retrieved are the whole passages behind them, whose texts only the corpus has. Invariant: an
answer that is a judgement stands in no passage, and nothing is said of it.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.agent import grammar
from searchtrain.data.equivalence import holds_value

JUDGEMENTS = frozenset(("yes", "no", "true", "false"))
READ_FIRST = "\n\nQuestion: "
"""What parts passages from the question where both stand in one message
(`agent.retrieve_read`)."""


def stands_in_text(golds: Iterable[str]) -> bool:
    """Whether one of the golden answers may be found in a passage at all."""
    return any(gold.strip().lower() not in JUDGEMENTS for gold in golds)


def find_read(row: Mapping[str, Any]) -> bool | None:
    """Whether a golden answer stands in what was read; None of a judgement.

    `row`: `messages` and `golden_answers`.
    """
    golds = row["golden_answers"]
    if not stands_in_text(golds):
        return None
    # The last one first: an answer is mostly in what was read before it.
    return any(_holds_one(text, golds) for text in reversed(list_read(row["messages"])))


def list_read(messages: Iterable[Mapping[str, str]]) -> list[str]:
    """The texts of passages in a conversation, without what the environment adds to them."""
    texts = []
    for message in messages:
        if message["role"] == grammar.OBSERVATION:
            texts.append(grammar.read_observation(message["content"]))
        elif message["role"] == "user":
            texts.append(message["content"].rpartition(READ_FIRST)[0])
    return [text for text in texts if text]


def list_wanted(rows: pl.DataFrame) -> set[str]:
    """The ids of the passages whose texts `find_retrieved` needs.

    `rows`: `read` and `retrieved_ids`.
    """
    open_rows = rows.filter(pl.col("read") == False)["retrieved_ids"]  # noqa: E712 (a column)
    return {key for turns in open_rows for key in chain.from_iterable(turns)}


def find_retrieved(row: Mapping[str, Any], texts: Mapping[str, str] | None) -> bool | None:
    """Whether a golden answer stands in what was retrieved; None of a judgement.

    `row`: `read`, `retrieved_ids` and `golden_answers`; `texts`: contents of passages by their ids,
    None where there is no corpus to look them up: then nothing is known of any row.
    """
    if texts is None or row["read"] is not False:
        return None if texts is None else row["read"]
    ids = dict.fromkeys(chain.from_iterable(row["retrieved_ids"]))
    return any(_holds_one(texts[key], row["golden_answers"]) for key in ids if key in texts)


def load_texts(corpus: Path, ids: set[str]) -> dict[str, str]:
    """The contents of passages of a corpus (`search.corpus`), by id; in one pass over the file."""
    if not ids:
        return {}
    rows = pl.scan_ndjson(corpus, schema={"id": pl.String, "contents": pl.String})
    wanted = rows.filter(pl.col("id").is_in(list(ids))).select("id", "contents")
    return dict(wanted.collect(engine="streaming").iter_rows())


def _holds_one(text: str, golds: Iterable[str]) -> bool:
    return any(holds_value(text, gold) for gold in golds)
