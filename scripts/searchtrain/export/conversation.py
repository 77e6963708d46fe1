"""A stored conversation as the messages of Inspect AI's viewer.

Invariant: whatever the grammar cannot read, and what a model wrote that was repaired, is there as
it was written.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    Content,
    ContentReasoning,
    ContentText,
)
from inspect_ai.tool import ToolCall

from searchtrain.agent import grammar
from searchtrain.core.errors import ProtocolError

SEARCH = "search"
TAGS = ("<information>\n", "\n</information>")


def make_messages(row: Mapping[str, Any], refined: bool) -> list[ChatMessage]:
    """The conversation of one row of `schemas.Trajectories`.

    A turn is its reasoning, then a call of `search` with its queries, or the answer. An observation
    is what the call returned, then the ids of the passages. `refined`: observations are a refiner's
    notes on passages.
    """
    found: list[ChatMessage] = []
    raw = iter(row["raw"])
    turns, searches, call = 0, 0, ""
    for place, message in enumerate(row["messages"], 1):
        role, text, key = message["role"], message["content"], str(place)
        if role == grammar.ASSISTANT:
            turns += 1
            content, queries = read_turn(text)
            call = f"search_{turns}" if queries else ""
            searches = find_search(row["queries"], queries, searches)
            calls = [ToolCall(id=call, function=SEARCH, arguments={"queries": queries})]
            written = next(raw, "")
            found.append(
                ChatMessageAssistant(
                    id=key, content=content, tool_calls=calls if queries else None,
                    metadata={"as_written": written} if written else None,
                )
            )  # fmt: skip
        elif role == grammar.OBSERVATION:
            parts = [ContentText(text=text.removeprefix(TAGS[0]).removesuffix(TAGS[1]))]
            if call:
                sources = describe_sources(row, searches - 1, refined)
                parts += [ContentText(text=sources)] * bool(sources)
            found.append(
                ChatMessageTool(
                    id=key, content=list[Content](parts), tool_call_id=call or None,
                    function=SEARCH if call else None,
                )
            )  # fmt: skip
        elif role == "system":
            found.append(ChatMessageSystem(id=key, content=text))
        else:
            found.append(ChatMessageUser(id=key, content=text))
    return found


def read_turn(text: str) -> tuple[str | list[Content], list[str]]:
    """What a turn says, and its queries; a turn that breaks the grammar stays a text."""
    try:
        turn = grammar.parse_turn(text)
    except ProtocolError:
        return text, []
    said: list[Content] = [ContentReasoning(reasoning=turn.think)] if turn.think else []
    if turn.answer is not None:
        said.append(ContentText(text=turn.answer))
    return said, list(turn.queries)


def find_search(searched: Sequence[Sequence[str]], queries: Sequence[str], begin: int) -> int:
    """The number of the search that a turn made, from 1, after `begin` searches.

    The columns of a row also hold searches whose turns were taken back.
    """
    if not queries:
        return begin
    for number in range(begin, len(searched)):
        if list(searched[number]) == list(queries):
            return number + 1
    return begin + 1


def describe_sources(row: Mapping[str, Any], search: int, refined: bool) -> str:
    """The ids of the passages that came back and, where a refiner or a limit left some out, of
    those that the observation shows; empty where that is not known."""
    if not 0 <= search < len(row["retrieved_ids"]):
        return ""
    retrieved, shown = row["retrieved_ids"][search], row["sources"][search]
    lines = [f"passages found: {', '.join(retrieved) or 'none'}"]
    if refined or shown != retrieved:
        told = "told in the refiner's notes above" if refined else "shown above"
        lines.append(f"{told}: {', '.join(shown) or 'none'}")
    return "\n".join(lines)


def write_text(row: Mapping[str, Any]) -> str:
    """All that was said after the system prompt, for a search in it."""
    return "\n\n".join(each["content"] for each in row["messages"] if each["role"] != "system")
