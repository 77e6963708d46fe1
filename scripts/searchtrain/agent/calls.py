"""A turn in whatever format, and what a model writes as a native tool call.

Invariant: as of `reading`.
"""

import json
import re

from searchtrain.agent import grammar
from searchtrain.agent.formats import Format, Thoughts
from searchtrain.agent.grammar import ANY_TAG, Turn
from searchtrain.agent.reading import (
    SEARCH,
    Reading,
    differ,
    parse_text,
    read_text,
    render_raw,
)
from searchtrain.agent.thoughts import ACTION_START, is_unended, make_fault, make_plain
from searchtrain.agent.tidying import join_words, read_values, tidy_answer
from searchtrain.core.errors import ProtocolError
from searchtrain.models.model import Completion

CALL_TEXT = re.compile(r"<tool_call>\s*(\{.*?\})\s*(?:</tool_call>|$)", re.DOTALL)


def read_turn(completion: Completion, form: Format, thoughts: Thoughts = "written") -> Reading:
    """A turn as a model writes it in a format."""
    if form.tools:
        return read_call(completion, thoughts)
    return read_text(completion, thoughts, in_thought=form.in_thought)


def read_call(completion: Completion, thoughts: Thoughts = "written") -> Reading:
    """A turn written as a native tool call, or as an answer in tags or in plain text."""
    raw = render_raw(completion)
    try:
        turn, repairs = _read_call(completion, thoughts)
    except ProtocolError as fault:
        calls = [f"{call.name}({call.arguments})" for call in completion.calls]
        text = "\n".join(filter(None, [completion.text, *calls]))
        unended = not calls and is_unended(completion, thoughts)
        return Reading(text, None, fault, (), differ(raw, text), unended)
    text = grammar.render_turn(turn.think, queries=turn.queries, answer=turn.answer)
    return Reading(text, turn, None, tuple(repairs), differ(raw, text))


def _read_call(completion: Completion, thoughts: Thoughts) -> tuple[Turn, list[str]]:
    """The turn in a tool call or in a text beside none; raises ProtocolError."""
    text = make_plain(completion.text)
    calls = [(call.name, call.arguments) for call in completion.calls]
    repairs = []
    if not calls and (match := CALL_TEXT.search(text)):
        calls = [_open_call(match[1])]
        text = text[: match.start()]
        repairs.append("call_as_text")
    if calls:
        queries: list[str] = []
        for name, arguments in calls:
            found, kinds = _read_arguments(arguments)
            if name == SEARCH and found:
                queries += found
                repairs += kinds
        if not queries:
            raise make_fault(f"{calls[0][0]}({calls[0][1]})", "bad_call")
        repairs += ["second_call"] * (len(calls) > 1)
        return Turn(_take_thought(text, completion), queries=tuple(queries)), repairs
    if ACTION_START.search(text):
        # Beside calls a thought is welcome, and no format.
        shown: Thoughts = "native" if thoughts == "native" else "hidden"
        turn, tidied = parse_text(completion, shown, in_thought=False)
        if turn.queries:
            return turn, ["call_as_text", *tidied]
        return turn, [kind for kind in tidied if kind != "prose_as_thought"]
    if not text.strip() or completion.finish_reason == "length" or is_unended(completion, thoughts):
        raise make_fault(text, "no_action")
    head, closed, tail = text.rpartition("</think>")
    answer, tidied = tidy_answer(ANY_TAG.sub("", tail))
    if not answer:
        raise make_fault(text, "no_action")
    thought = completion.thought or (head if closed else "")
    return Turn(_name_tags(thought), answer=" ".join(answer.split())), tidied


def _take_thought(text: str, completion: Completion) -> str:
    """The thought beside a call: the field's, that of a block, or the whole text."""
    head, closed, _ = text.partition("</think>")
    return _name_tags(completion.thought or (head if closed else text))


def _name_tags(thought: str) -> str:
    """A thought without its own tags, and with others only named."""
    inner = thought.replace("<think>", "").replace("</think>", "").strip()
    return ANY_TAG.sub(lambda tag: tag[0].strip("<>"), inner)


def _open_call(text: str) -> tuple[str, str]:
    """Name and arguments of a call that was written as text."""
    try:
        call = json.loads(text)
    except json.JSONDecodeError:
        raise make_fault(text, "bad_call") from None
    arguments = call.get("arguments", call.get("parameters"))
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return str(call.get("name")), arguments


def _read_arguments(text: str) -> tuple[list[str], list[str]]:
    """The queries in a call's arguments, none if they can not be read, and the repairs."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return [], []
    regular = isinstance(value, dict) and isinstance(value.get("queries"), list)
    queries = read_values(value)
    return join_words(queries or []), ["arguments"] * (not regular)
