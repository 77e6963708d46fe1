"""What a model wrote, as one turn of the grammar.

Real models put a sentence before the action, fences around it, a list's marks into it, and their
thought into a field of its own. What means one turn beyond doubt is read as that turn and rendered
in the grammar's form; whatever was changed is listed as a repair, in a short stable word, and the
text is kept as it came. Where a thought stands is the server's doing and no repair: a field, or a
text whose `<think>` the chat template has opened. Invariant: a turn that is read is one that
`grammar.parse_turn` accepts, and one in the grammar's form is read without repairs.
"""

import json
from dataclasses import dataclass, replace

from searchtrain.agent import grammar
from searchtrain.agent.formats import Thoughts
from searchtrain.agent.grammar import ANY_TAG, Turn
from searchtrain.agent.thoughts import (
    ACTION_END,
    ACTION_START,
    is_unended,
    make_fault,
    make_plain,
    spell_tags,
    split_thought,
)
from searchtrain.agent.tidying import (
    BOXED,
    FENCE,
    SENTENCE,
    tidy_answer,
    tidy_queries,
)
from searchtrain.core.errors import ProtocolError
from searchtrain.models.model import Completion

SEARCH = "search"
BRIEF = 12
"""Words of a line that may be an answer alone."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A completion as it is read."""

    text: str
    """What is stored: the turn in the grammar's form, or the text that breaks it."""
    turn: Turn | None = None
    fault: ProtocolError | None = None
    """Why there is no turn."""
    repairs: tuple[str, ...] = ()
    raw: str = ""
    """What the model wrote, where that is not what is stored; a server may keep a closing tag."""
    open: bool = False
    """The text ends inside a thought: a server may have stopped at a tag that the thought names, a
    model that thinks by itself has never come to an end."""


def read_text(
    completion: Completion, thoughts: Thoughts = "written", *, in_thought: bool = False
) -> Reading:
    """A turn written with the grammar's tags.

    Of `native` thoughts a text without `</think>` is all thought, and an action in it is none,
    unless `in_thought`.
    """
    raw = render_raw(completion)
    unended = not in_thought and is_unended(completion, thoughts)
    try:
        turn, repairs = parse_text(completion, thoughts, in_thought)
    except ProtocolError as broken:
        strict = read_strict(completion)
        fault = broken if completion.thought else strict.fault or broken
        return replace(strict, turn=None, fault=fault, raw=differ(raw, strict.text), open=unended)
    text = grammar.render_turn(turn.think, queries=turn.queries, answer=turn.answer)
    return Reading(text, turn, None, tuple(repairs), differ(raw, text), unended)


def read_strict(completion: Completion) -> Reading:
    """A turn as it stands, with the closing tag that a server may have cut off."""
    text = grammar.close_turn(completion.text)
    try:
        return Reading(text, grammar.parse_turn(text))
    except ProtocolError as fault:
        return Reading(text, None, fault)


def read_answer(
    completion: Completion, thoughts: Thoughts, *, continued: bool = False
) -> tuple[str, list[str]]:
    """The answer of a model that was asked for nothing else, and the repairs; empty if none came.

    A text without tags is the answer, as is an `<answer>` that was cut. `continued`: the message
    was begun for it, up to the answer.
    """
    text = make_plain(completion.text)
    _, _, shown = text.rpartition("</think>")
    if "<answer>" in shown:
        shown = shown.partition("<answer>")[2]
    elif not continued and "</think>" not in text and _is_cut_thought(text, completion, thoughts):
        return "", []
    tag = ANY_TAG.search(shown)
    said = shown[: tag.start()] if tag else shown
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    named = [line for line in lines if SENTENCE.match(line) or BOXED.search(line)]
    brief = [line for line in lines if len(line.split()) <= BRIEF]
    chosen = [*named, *brief[:1], *lines[-1:]][:1]
    return tidy_answer(chosen[0]) if chosen else ("", [])


def render_raw(completion: Completion) -> str:
    """All that a model wrote: its text, or JSON where it wrote into several fields."""
    if not completion.thought and not completion.calls:
        return completion.text
    calls = [{"name": call.name, "arguments": call.arguments} for call in completion.calls]
    parts = {
        "reasoning": completion.thought,
        "content": completion.text,
        "tool_calls": calls or None,
    }
    return json.dumps({name: part for name, part in parts.items() if part}, ensure_ascii=False)


def parse_text(
    completion: Completion, thoughts: Thoughts, in_thought: bool
) -> tuple[Turn, list[str]]:
    """The turn in a text, and the repairs that it took; raises ProtocolError."""
    text = completion.text
    if not completion.thought and (found := _read_canonical(completion)):
        return found
    text = spell_tags(text)
    repairs = ["tag_spelling"] * (text != completion.text)
    parts = split_thought(text, completion, thoughts, in_thought)
    rest = FENCE.sub("", parts.rest)
    repairs += ["fence"] * (rest != parts.rest and "fence" not in parts.repairs)
    before, name, body, after = _find_action(rest, completion.finish_reason)
    other = any(start[1] != name for start in ACTION_START.finditer(before))
    invented = "<information>" in before or any("</information>" in t for t in parts.thoughts)
    if other or invented:
        raise make_fault(text, "stray_tags")
    before = before.strip()
    if before and not "".join(parts.thoughts).strip():
        parts.thoughts, before = [before], ""
        repairs.append("prose_as_thought")
    elif parts.needed:
        raise make_fault(text, "no_think")
    repairs += parts.repairs + ["prose"] * bool(before)
    if kind := _name_tail(after):
        repairs.append(kind)
    think = "\n".join(filter(None, dict.fromkeys(each.strip() for each in parts.thoughts)))
    unnamed = ANY_TAG.sub(lambda tag: tag[0].strip("<>"), think)
    repairs += ["named_tag"] * (unnamed != think)
    turn, tidied = read_action(unnamed, name, body)
    return turn, repairs + tidied


def _read_canonical(completion: Completion) -> tuple[Turn, list[str]] | None:
    """A turn that keeps to the grammar; None if it does not, or was cut."""
    if completion.finish_reason == "length" and not ACTION_END.search(completion.text):
        return None
    try:
        turn = grammar.parse_turn(grammar.close_turn(completion.text))
    except ProtocolError:
        return None
    name = SEARCH if turn.answer is None else "answer"
    body = completion.text.partition(f"<{name}>")[2].partition(f"</{name}>")[0]
    return read_action(turn.think, name, body)


def _find_action(text: str, finish_reason: str) -> tuple[str, str, str, str]:
    """What stands before the first action, its tag, what is in it, and what stands behind it."""
    for end in ACTION_END.finditer(text):
        start = text.rfind(f"<{end[1]}>", 0, end.start())
        if start >= 0:
            body = text[start + len(end[1]) + 2 : end.start()]
            return text[:start], end[1], body, text[end.end() :]
    starts = list(ACTION_START.finditer(text))
    # A server stops before the closing tag, or a model takes it for said.
    if not starts or finish_reason == "length":
        raise make_fault(text, "no_action")
    return text[: starts[-1].start()], starts[-1][1], text[starts[-1].end() :], ""


def _name_tail(after: str) -> str:
    """What kind of text stands behind the action, where nothing may stand."""
    if not FENCE.sub("", after).strip():
        return ""
    if "<information>" in after:
        return "invented_information"
    return "second_action" if ACTION_START.search(after) else "text_after"


def read_action(think: str, name: str, body: str) -> tuple[Turn, list[str]]:
    """The turn with this action, and the repairs in it; raises ProtocolError."""
    if ANY_TAG.search(body):
        raise make_fault(body, "stray_tags")
    if name == SEARCH:
        queries, repairs = tidy_queries(body)
        if not queries:
            raise make_fault(body, "empty_query")
        return Turn(think, queries=tuple(queries)), repairs
    answer, repairs = tidy_answer(body)
    if not answer:
        raise make_fault(body, "empty_answer")
    return Turn(think, answer=answer), repairs


def differ(raw: str, text: str) -> str:
    """What a model wrote, if that is not what is stored but for a closing tag."""
    return "" if text in (raw, grammar.close_turn(raw)) else raw


def _is_cut_thought(text: str, completion: Completion, thoughts: Thoughts) -> bool:
    """Whether a text that closes no thought is one all the same."""
    cut = completion.finish_reason == "length"
    return "<think>" in text or (thoughts == "native" and cut and not completion.thought)
