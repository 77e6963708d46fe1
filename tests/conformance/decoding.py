"""How an endpoint cuts what a model generates: stop strings, tokens, reasoning parsers.

A token is four characters here, in prompts and in completions.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.brain import Speech

OPEN, CLOSE = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Decoded:
    """A completion before an endpoint gives it its form."""

    content: str | None
    thought: str | None = None
    finish: str = "stop"
    """`stop`, `length` or `tool_calls`."""
    stopped_by: str | None = None
    tokens: int = 0
    """Written, the thought included."""
    thought_tokens: int = 0
    calls: tuple[Mapping[str, Any], ...] = ()
    """Native calls: name and arguments."""


def count_tokens(text: str) -> int:
    """Tokens of a text."""
    return -(-len(text) // 4)


def cut(
    text: str, stop: Sequence[str], limit: int | None, *, keep: bool = False
) -> tuple[str, str, str | None]:
    """Cut a text at its first stop string and at its limit; returns text, finish and stop string.

    `keep`: the stop string stays. The stop string that is complete first counts.
    """
    found = [(text.find(each) + len(each), each) for each in stop if each in text]
    finish, by = "stop", None
    if found:
        end, by = min(found)
        text = text[: end if keep else end - len(by)]
        written = end
    else:
        written = len(text)
    if limit is not None and written > 4 * limit:
        return text[: 4 * limit], "length", None
    return text, finish, by


def decode_text(
    speech: Speech,
    *,
    opened: bool,
    stop: Sequence[str],
    limit: int | None,
    keep: bool,
    parser: str | None = None,
    thinking: bool = True,
) -> Decoded:
    """As an engine does that sees one stream of text, the thought in it (vLLM, SGLang, llama.cpp).

    `opened`: the template has opened the thought. `parser`: `deepseek_r1`, `qwen3` or None;
    `thinking`: nothing in the request switches the parser `qwen3` off.
    """
    text = speech.content
    if speech.thought is not None:
        head = "" if opened else f"{OPEN}\n"
        tail = f"\n{CLOSE}\n\n{text}" if speech.closed else ""
        text = head + speech.thought + tail
    if speech.calls:
        text, finish, by = cut(text, (), limit)
        finish = "tool_calls" if finish == "stop" else finish
    else:
        text, finish, by = cut(text, stop, limit, keep=keep)
    spent = count_tokens(text) + sum(count_tokens(json.dumps(call)) for call in speech.calls)
    if parser is None or (parser == "qwen3" and not thinking):
        content = None if speech.calls and not text else text
        return Decoded(content, None, finish, by, spent, calls=speech.calls)
    # vLLM's BaseThinkingReasoningParser: without an end everything is reasoning.
    before, start, after = text.partition(OPEN)
    inner = after if start else before
    if CLOSE not in inner:
        counted = count_tokens(inner) if start or parser == "qwen3" else 0
        return Decoded(None, inner, finish, by, spent, counted, speech.calls)
    thought, _, content = inner.partition(CLOSE)
    counted = count_tokens(thought) if start or parser == "qwen3" else 0
    return Decoded(content or None, thought, finish, by, spent, counted, speech.calls)


def decode_apart(
    speech: Speech, *, stop: Sequence[str], limit: int | None, keep: bool = False
) -> Decoded:
    """As a host does that keeps the thought apart: stop strings count behind it, tokens in all."""
    thought = speech.thought
    spent = 0
    if thought:
        spent = count_tokens(thought)
        if not speech.closed or (limit is not None and spent >= limit):
            room = limit if limit is not None else spent
            return Decoded("", thought[: 4 * room], "length", None, min(spent, room), room)
    left = None if limit is None else limit - spent
    content, finish, by = cut(speech.content, () if speech.calls else stop, left, keep=keep)
    if speech.calls and finish == "stop":
        finish = "tool_calls"
    words = count_tokens(content) + sum(count_tokens(json.dumps(call)) for call in speech.calls)
    return Decoded(content, thought, finish, by, spent + words, spent, speech.calls)
