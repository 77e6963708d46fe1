"""Rows of the SFT data that teach reading and answering, made of the kept rollouts.

reader   the question and every passage that the rollout was shown, those without use among them,
         asked as a reader is asked (`agent.reader`), and the answer alone (CoRAG's rows on the
         final answer)
answers  the rollout's own record with loss on its last turn alone (SearchSkill's closure rows):
         LLaMA-Factory has no weight per turn

Invariant: a row is of one curated rollout and states that rollout's answer as its last turn does;
which rollouts have one depends on seed and content alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from searchtrain import config
from searchtrain.agent import grammar, reader
from searchtrain.core.errors import ProtocolError
from searchtrain.models.request import make_body
from searchtrain.models.role import Role
from searchtrain.training.mixing import sample_records
from searchtrain.training.records import LAST, TRAINED, make_turns

Record = dict[str, Any]


def make_reader_rows(
    curated: pl.DataFrame, system: str, settings: config.Rows, student: Role
) -> list[Record]:
    """Rows `{conversations, system}` of `schemas.Curated`; `system`: the reader's prompt.

    A rollout that was shown no passage has none.
    """
    made = [
        _make_reader_row(question, messages, system, student)
        for question, messages in curated.select("question", "messages").iter_rows()
    ]
    return draw_rows([row for row in made if row], settings.reader, curated.height, settings.seed)


def make_answer_rows(records: Sequence[Record], settings: config.Rows) -> list[Record]:
    """Copies of records of rollouts, each marked for loss on its last turn."""
    copies = [{**record, TRAINED: LAST} for record in records]
    return draw_rows(copies, settings.answers, len(records), settings.seed)


def fill_column(records: Sequence[Record], name: str, value: str) -> list[Record]:
    """The records with a column that others have, where they lack it."""
    return [record if name in record else {**record, name: value} for record in records]


def draw_rows(rows: Sequence[Record], share: float, rollouts: int, seed: int) -> list[Record]:
    """About `share` times `rollouts` rows in their order: all as often as that takes them whole,
    and a draw of them for what is left."""
    wanted = round(share * rollouts)
    if not rows:
        return []
    whole, rest = divmod(wanted, rollouts)
    rest = round(rest / rollouts * len(rows))
    return [*rows] * whole + sample_records(rows, rest, seed)


def _make_reader_row(
    question: str, messages: Sequence[Mapping[str, str]], system: str, student: Role
) -> Record | None:
    passages = reader.list_passages(messages)
    try:
        answer = grammar.parse_turn(messages[-1]["content"]).answer
    except ProtocolError:
        return None
    if not passages or answer is None:
        return None
    asked = [
        {"role": "system", "content": system},
        {"role": "user", "content": reader.render_request(question, passages)},
        {"role": grammar.ASSISTANT, "content": answer},
    ]
    first, *sent = make_body(student, asked, 0)["messages"]
    return {"conversations": make_turns(sent), "system": first["content"]}
