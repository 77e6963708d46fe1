"""What was said in a rollout, turn by turn: thought, queries, passages with their sources, answer.

Invariant: a turn that cannot be read is shown as it was written.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from searchtrain.agent import grammar
from searchtrain.core.errors import ProtocolError
from searchtrain.story.chapters import BETWEEN, Chapter

OPENED, CLOSED = "<information>\n", "\n</information>"


def tell_turns(row: Mapping[str, Any]) -> Chapter:
    """The turns of a row of `schemas.Trajectories`; its prompt is told elsewhere."""
    said = [each for each in row["messages"] if each["role"] != "system"]
    ended = "with an answer" if row["answer"] else "without an answer"
    facts = {
        "turns": row["turns"],
        "searches": row["searches"],
        "ended": f"{ended} ({row['stop_reason']}{': ' * bool(row['error'])}{row['error']})",
        "repairs": row["repairs"],
        "not refined": row["fallbacks"] or None,
        "tokens": {"read": row["prompt_tokens"], "written": row["completion_tokens"]},
    }
    return Chapter("turns", facts, texts=[*_list_texts(said, row)])


def _list_texts(
    messages: Sequence[Mapping[str, str]], row: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    turn = search = 0
    queries: tuple[str, ...] = ()
    for message in messages:
        text = message["content"]
        if message["role"] == grammar.ASSISTANT:
            turn, queries = turn + 1, ()
            try:
                read = grammar.parse_turn(text)
            except ProtocolError as fault:
                yield f"{turn} writes", f"{text}\n(not a valid turn: {fault.kind})"
                continue
            queries = read.queries
            yield f"{turn} thinks", read.think
            yield (
                ("  searches", "\n".join(queries)) if queries else ("  answers", read.answer or "")
            )
            if raw := (row["raw"][turn - 1] if turn <= len(row["raw"]) else ""):
                yield "  as written", raw
        elif message["role"] == grammar.OBSERVATION:
            yield "  reads", text.removeprefix(OPENED).removesuffix(CLOSED)
            if queries and search < len(row["sources"]):
                yield "  sources", BETWEEN.join(row["sources"][search])
                search += 1
        else:
            yield "is asked", text
