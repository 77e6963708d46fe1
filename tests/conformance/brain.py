"""What a model says to a conversation: the scripted roles, spoken as a real model speaks.

Invariant: a speech is a function of (dialogue, wish, mind); how the endpoint cuts and wraps it is
`decoding`'s and the endpoint's business.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.dialogue import Dialogue
from conformance.habits import FAREWELL, INVENTED, INVENTED_PASSAGE, deviate_json, deviate_turn
from conformance.thoughts import write_thought
from searchtrain.agent.grammar import parse_turn, render_turn
from searchtrain.core.errors import ProtocolError
from searchtrain.demo.draws import hash_parts
from searchtrain.demo.requests import Refusal
from searchtrain.demo.roles import write_reply

QUIET: Mapping[str, float] = {}
"""The scripted roles make no mistakes of their own here."""
LOST = "It is the place that the passages above speak of, as far as I can tell."
"""What a model says that no longer knows whose turn it is, or what is wanted."""


@dataclass(frozen=True, slots=True)
class Mind:
    """How a model behaves; all rates are shares, assumed."""

    native: bool = False
    """Thinks by itself before it speaks."""
    length: int = 120
    """Tokens of such a thought."""
    empty: bool = False
    """Its own thought is an empty block; it reasons where the prompt tells it to."""
    second: float = 0.0
    """Of the turns with a thought of its own: those that reason in the prompt's tags as well."""
    mentions: float = 0.0
    """Of these thoughts: those that name the tags."""
    endless: float = 0.0
    """Of the turns without JSON: those whose thought never ends."""
    babbles: float = 0.3
    """Of the turns: those that go on behind their action if nobody stops them."""
    deviates: float = 0.0
    """Of the turns and the JSON answers that no grammar holds: those that leave the format."""
    empty_json: float = 0.0
    """Of the first tries at a JSON answer: those that come back with nothing (DeepSeek)."""
    silent: float = 0.0
    """Of the native calls: those that come without a word."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request wants, as far as the model notices."""

    seed: int = 0
    fields: frozenset[str] | None = None
    """Fields of the JSON object that a response format asks for."""
    grammar: bool = False
    """The endpoint holds the model to the response format."""
    tools: Sequence[Mapping[str, Any]] = ()
    must_call: bool = False
    room: int = 1 << 20
    """Tokens that may be written."""
    attempt: int = 1
    """How often this request came, this time included."""


@dataclass(frozen=True, slots=True)
class Speech:
    """What a model generates."""

    content: str
    thought: str | None = None
    """Of its own; None: it does not think by itself here."""
    closed: bool = True
    """Whether the thought ever ends."""
    calls: tuple[Mapping[str, Any], ...] = ()
    """Native calls: name and arguments."""
    deviation: str = ""


@dataclass(slots=True)
class _Turn:
    think: str
    queries: tuple[str, ...] = ()
    answer: str | None = None
    tags: str = field(init=False)

    def __post_init__(self) -> None:
        self.tags = render_turn(self.think, queries=self.queries, answer=self.answer)

    @property
    def action(self) -> str:
        return self.tags.partition("</think>\n")[2]


def speak(dialogue: Dialogue, wish: Wish, mind: Mind, *, thinks: bool) -> Speech:
    """What the model generates; `thinks`: nothing in the request keeps it from its own thought."""
    key = repr((dialogue.key, wish.seed))
    fields = wish.fields if wish.fields is not None else _find_fields(dialogue)
    if fields is not None:
        return _speak_json(dialogue, wish, mind, fields, key, thinks=thinks)
    if dialogue.prefix is not None and dialogue.prefix.strip():
        return _go_on(dialogue, wish.seed, mind, key)
    turn = _decide(dialogue, wish.seed)
    if turn is None:
        return Speech(LOST)
    if wish.tools:
        return _call(dialogue, turn, wish, mind, key, thinks=thinks)
    if not thinks or dialogue.prefix is not None:
        content, deviation = turn.tags, ""
        if drawn(mind.deviates, "deviates", key):
            parts = (turn.think, turn.queries, turn.answer)
            content, deviation = deviate_turn(parts, key)
        return Speech(content + _babble(turn, mind, key), deviation=deviation)
    if drawn(mind.endless, "endless", key):
        return Speech("", write_thought("", wish.room + 1, key), closed=False, deviation="endless")
    if mind.empty:
        return Speech(turn.tags + _babble(turn, mind, key), "")
    mentions = drawn(mind.mentions, "mentions", key)
    thought = write_thought(turn.think, mind.length, key, mentions=mentions)
    text = turn.tags if drawn(mind.second, "second", key) else turn.action
    deviation = "mention" if mentions else ""
    return Speech(text + _babble(turn, mind, key), thought, deviation=deviation)


def drawn(share: float, *parts: Any) -> bool:
    """Whether something with a share happens; a function of its arguments."""
    return hash_parts(*parts) < share * 2**64


def _decide(dialogue: Dialogue, seed: int) -> _Turn | None:
    """The scripted agent's next turn; None where it cannot read the conversation."""
    try:
        text = write_reply({"messages": dialogue.to_messages(), "seed": seed}, QUIET)
        turn = parse_turn(text)
    except (Refusal, ProtocolError):
        return None
    return _Turn(turn.think, turn.queries, turn.answer)


def _go_on(dialogue: Dialogue, seed: int, mind: Mind, key: str) -> Speech:
    """What follows `dialogue.prefix` inside the same message."""
    prefix = dialogue.prefix or ""
    if re.search(r"<answer>[^<]*$", prefix):
        messages = [*dialogue.to_messages(), {"role": "assistant", "content": prefix}]
        text = write_reply({"messages": messages, "seed": seed}, QUIET)
        return Speech(text + (FAREWELL if drawn(mind.babbles, "babbles", key) else ""))
    turn = _decide(dialogue, seed)
    if turn is None:
        return Speech(LOST)
    rest = _babble(turn, mind, key)
    if re.search(r"<search>[^<]*$", prefix):
        return Speech("\n".join(turn.queries) + "</search>" + rest)
    if prefix.rstrip().endswith("</think>"):
        return Speech(turn.action + rest)
    if "<think>" in prefix and "</think>" not in prefix:
        return Speech(f"{turn.think}</think>\n{turn.action}{rest}")
    return Speech(turn.tags + rest)


def _babble(turn: _Turn, mind: Mind, key: str) -> str:
    if not drawn(mind.babbles, "babbles", key):
        return ""
    if turn.answer is not None:
        return FAREWELL
    # Who thinks by itself opens no second thought in the same message.
    return f"{INVENTED_PASSAGE}<answer>Nowhere</answer>" if mind.native else INVENTED


def _speak_json(
    dialogue: Dialogue, wish: Wish, mind: Mind, fields: frozenset[str], key: str, *, thinks: bool
) -> Speech:
    schema = {"properties": {name: {} for name in sorted(fields)}}
    body = {
        "messages": dialogue.to_messages(),
        "seed": wish.seed,
        "response_format": {"type": "json_schema", "json_schema": {"schema": schema}},
    }
    try:
        text = write_reply(body, QUIET)
    except Refusal:
        return Speech(LOST, deviation="lost")
    deviation = ""
    if wish.attempt == 1 and drawn(mind.empty_json, "empty", key):
        text, deviation = "", "empty"
    elif not wish.grammar and drawn(mind.deviates, "json", key):
        told = any(role == "assistant" for role, _ in dialogue.turns)
        text, deviation = deviate_json(text, key, told=told)
    if dialogue.prefix:
        text = text.removeprefix(dialogue.prefix)
    if not thinks or dialogue.prefix is not None:
        return Speech(text, deviation=deviation)
    thought = "" if mind.empty else write_thought("So that is it.", mind.length, key)
    return Speech(text, thought, deviation=deviation)


def _find_fields(dialogue: Dialogue) -> frozenset[str] | None:
    """The fields of the JSON object that the prompt asks for; None if it asks for none.

    A schema in any message counts, else the last example in the system prompt.
    """
    if "json" not in dialogue.system.lower():
        return None
    objects = list(_list_objects(dialogue.system))
    for _, text in dialogue.turns[1:]:
        objects += [found for found in _list_objects(text) if "properties" in found]
    schemas = [
        found["properties"] for found in objects if isinstance(found.get("properties"), dict)
    ]
    if schemas:
        return frozenset(schemas[-1])
    return frozenset(objects[-1]) if objects else None


def _list_objects(text: str) -> Iterator[dict[str, Any]]:
    decoder, place = json.JSONDecoder(), text.find("{")
    while place >= 0:
        try:
            found, place = decoder.raw_decode(text, place)
            yield found
        except ValueError:
            place += 1
        place = text.find("{", place)


def _call(
    dialogue: Dialogue, turn: _Turn, wish: Wish, mind: Mind, key: str, *, thinks: bool
) -> Speech:
    """The turn as native calls; an answer calls a function of that name, or is said."""
    thought = write_thought(turn.think, mind.length, key) if thinks else None
    said = "" if thinks or drawn(mind.silent, "silent", key) else turn.think
    functions = [tool["function"] for tool in wish.tools]
    if turn.answer is not None:
        final = [entry for entry in functions if re.search("answer|finish|submit", entry["name"])]
        if final:
            call = {"name": final[0]["name"], "arguments": _fill(final[0], [turn.answer])[0]}
            return Speech(said, thought, calls=(call,))
        if not wish.must_call:
            tagged = "<answer>" in dialogue.system
            inner = turn.think if "<think>" in dialogue.system else ""
            text = f"<think>{inner}</think>\n" if inner and not thinks else ""
            return Speech(
                f"{text}<answer>{turn.answer}</answer>" if tagged else turn.answer, thought
            )
    search = next((entry for entry in functions if "search" in entry["name"]), functions[0])
    queries = turn.queries or ("one more look",)
    calls = [{"name": search["name"], "arguments": filled} for filled in _fill(search, queries)]
    return Speech(said, thought, calls=tuple(calls))


def _fill(function: Mapping[str, Any], values: Sequence[str]) -> list[dict[str, Any]]:
    """Arguments for a function: one call with a list where it takes one, else a call each."""
    properties = (function.get("parameters") or {}).get("properties") or {}
    for name, schema in properties.items():
        if schema.get("type") == "array":
            return [{name: list(values)}]
    name = next(iter(properties), "query")
    return [{name: value} for value in values]
