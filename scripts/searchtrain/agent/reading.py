"""What a model wrote, as one turn of the grammar.

Real models put a sentence before the action, fences around it, a list's marks into it, and their
thought into a field of its own. What means one turn beyond doubt is read as that turn and rendered
in the grammar's form; whatever was changed is listed as a repair, in a short stable word, and the
text is kept as it came. Where a thought stands is the server's doing and no repair: a field, or a
text whose `<think>` the chat template has opened. Invariant: a turn that is read is one that
`grammar.parse_turn` accepts, and one in the grammar's form is read without repairs.
"""

import json
import re
from dataclasses import dataclass, field, replace

from searchtrain.agent import grammar
from searchtrain.agent.formats import Format, Thoughts
from searchtrain.agent.grammar import ANY_TAG, Turn
from searchtrain.agent.tidying import (
    BOXED,
    FENCE,
    SENTENCE,
    join_words,
    read_values,
    tidy_answer,
    tidy_queries,
)
from searchtrain.core.errors import ProtocolError
from searchtrain.models.model import Completion

LOOSE_TAG = re.compile(rf"<\s*(/?)\s*({'|'.join(grammar.TAGS)})\s*>", re.IGNORECASE)
ACTION_END = re.compile(r"</(search|answer)>")
ACTION_START = re.compile(r"<(search|answer)>")
BLOCK = re.compile(r"(?P<between>.*?)<think>(?P<inner>.*?)</think>", re.DOTALL)
CALL_TEXT = re.compile(r"<tool_call>\s*(\{.*?\})\s*(?:</tool_call>|$)", re.DOTALL)
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


@dataclass(slots=True)
class _Parts:
    """A text in pieces."""

    thoughts: list[str]
    rest: str
    repairs: list[str] = field(default_factory=list)
    needed: bool = False
    """Whether there is no thought where one should be."""


def read_turn(completion: Completion, form: Format, thoughts: Thoughts = "written") -> Reading:
    """A turn as a model writes it in a format."""
    if form.tools:
        return read_call(completion, thoughts)
    return read_text(completion, thoughts, in_thought=form.in_thought)


def read_text(
    completion: Completion, thoughts: Thoughts = "written", *, in_thought: bool = False
) -> Reading:
    """A turn written with the grammar's tags.

    Of `native` thoughts a text without `</think>` is all thought, and an action in it is none,
    unless `in_thought`.
    """
    raw = render_raw(completion)
    is_open = not in_thought and _is_open(completion, thoughts)
    try:
        turn, repairs = _read_turn(completion, thoughts, in_thought)
    except ProtocolError as broken:
        strict = read_strict(completion)
        fault = broken if completion.thought else strict.fault or broken
        return replace(strict, turn=None, fault=fault, raw=_differ(raw, strict.text), open=is_open)
    text = grammar.render_turn(turn.think, queries=turn.queries, answer=turn.answer)
    return Reading(text, turn, None, tuple(repairs), _differ(raw, text), is_open)


def read_strict(completion: Completion) -> Reading:
    """A turn as it stands, with the closing tag that a server may have cut off."""
    text = grammar.close_turn(completion.text)
    try:
        return Reading(text, grammar.parse_turn(text))
    except ProtocolError as fault:
        return Reading(text, None, fault)


def read_call(completion: Completion, thoughts: Thoughts = "written") -> Reading:
    """A turn written as a native tool call, or as an answer in tags or in plain text."""
    raw = render_raw(completion)
    try:
        turn, repairs = _read_call(completion, thoughts)
    except ProtocolError as fault:
        calls = [f"{call.name}({call.arguments})" for call in completion.calls]
        text = "\n".join(filter(None, [completion.text, *calls]))
        is_open = not calls and _is_open(completion, thoughts)
        return Reading(text, None, fault, (), _differ(raw, text), is_open)
    text = grammar.render_turn(turn.think, queries=turn.queries, answer=turn.answer)
    return Reading(text, turn, None, tuple(repairs), _differ(raw, text))


def read_answer(
    completion: Completion, thoughts: Thoughts, *, continued: bool = False
) -> tuple[str, list[str]]:
    """The answer of a model that was asked for nothing else, and the repairs; empty if none came.

    A text without tags is the answer, as is an `<answer>` that was cut. `continued`: the message
    was begun for it, up to the answer.
    """
    text = _plain(completion.text)
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


def _read_turn(
    completion: Completion, thoughts: Thoughts, in_thought: bool
) -> tuple[Turn, list[str]]:
    """The turn in a text, and the repairs that it took; raises ProtocolError."""
    text = completion.text
    if not completion.thought and (found := _read_canonical(completion)):
        return found
    text = LOOSE_TAG.sub(lambda tag: f"<{tag[1]}{tag[2].lower()}>", text)
    repairs = ["tag_spelling"] * (text != completion.text)
    parts = _split_thought(text, completion, thoughts, in_thought)
    rest = FENCE.sub("", parts.rest)
    repairs += ["fence"] * (rest != parts.rest and "fence" not in parts.repairs)
    before, name, body, after = _find_action(rest, completion.finish_reason)
    other = any(start[1] != name for start in ACTION_START.finditer(before))
    invented = "<information>" in before or any("</information>" in t for t in parts.thoughts)
    if other or invented:
        raise _fault(text, "stray_tags")
    before = before.strip()
    if before and not "".join(parts.thoughts).strip():
        parts.thoughts, before = [before], ""
        repairs.append("prose_as_thought")
    elif parts.needed:
        raise _fault(text, "no_think")
    repairs += parts.repairs + ["prose"] * bool(before)
    if kind := _name_tail(after):
        repairs.append(kind)
    think = "\n".join(filter(None, dict.fromkeys(each.strip() for each in parts.thoughts)))
    unnamed = ANY_TAG.sub(lambda tag: tag[0].strip("<>"), think)
    repairs += ["named_tag"] * (unnamed != think)
    turn, tidied = _read_action(unnamed, name, body)
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
    return _read_action(turn.think, name, body)


def _split_thought(
    text: str, completion: Completion, thoughts: Thoughts, in_thought: bool
) -> _Parts:
    """The thought, wherever it stands, and the text behind it."""
    held = (completion.thought or "").strip()
    head, closed, tail = text.partition("</think>")
    action = ACTION_END.search(head)
    if in_thought and action and (start := head.rfind(f"<{action[1]}>", 0, action.start())) >= 0:
        # The first action counts, and the thought goes on behind what it brings.
        return _Parts([head[:start].removeprefix("<think>")], text[start:])
    if not closed:
        return _split_unclosed(text, completion, thoughts, in_thought)
    before, opened, inner = head.partition("<think>")
    blocks, repairs = ([inner], _name_head(before)) if opened else ([head], [])
    rest = tail
    while match := BLOCK.match(rest):
        if ACTION_START.search(match["between"]):
            break
        # An empty block is the template's, and beside a thought of its own a model writes the one
        # that the prompt asks for.
        second = thoughts == "written" and "".join(blocks).strip()
        repairs += ["second_think"] * bool(second) + _name_head(match["between"])
        blocks.append(match["inner"])
        rest = rest[match.end() :]
    if held:
        blocks.insert(0, held)
    return _Parts(blocks, rest, repairs)


def _split_unclosed(
    text: str, completion: Completion, thoughts: Thoughts, in_thought: bool
) -> _Parts:
    """The same of a text that closes no thought; raises ProtocolError where it is all thought."""
    if completion.thought:
        return _Parts([completion.thought], text)
    if in_thought:
        first = ACTION_START.search(text)
        place = first.start() if first else len(text)
        return _Parts([text[:place].removeprefix("<think>")], text[place:])
    before, opened, inner = text.partition("<think>")
    if opened:
        ends = [match.end() for match in ACTION_END.finditer(inner)]
        start = max(inner.rfind("<search>"), inner.rfind("<answer>"))
        finished = completion.finish_reason != "length" and ends and not inner[ends[-1] :].strip()
        if thoughts == "native" or start < 0 or not finished:
            raise _fault(text, "no_think")
        repairs = ["unclosed_think", *_name_head(before)]
        return _Parts([inner[:start]], inner[start:], repairs)
    if _is_open(completion, thoughts):
        raise _fault(text, "no_think")
    return _Parts([], text, needed=thoughts == "written")


def _is_cut_thought(text: str, completion: Completion, thoughts: Thoughts) -> bool:
    """Whether a text that closes no thought is one all the same."""
    cut = completion.finish_reason == "length"
    return "<think>" in text or (thoughts == "native" and cut and not completion.thought)


def _plain(text: str) -> str:
    """A text without fences, its tags spelt as the grammar's."""
    return FENCE.sub("", LOOSE_TAG.sub(lambda tag: f"<{tag[1]}{tag[2].lower()}>", text))


def _is_open(completion: Completion, thoughts: Thoughts) -> bool:
    """Whether a text ends inside its thought.

    Of a model that thinks by itself the chat template may have opened it. One that shows its
    thoughts nowhere begins with the action.
    """
    text = _plain(completion.text)
    if "</think>" in text:
        return False
    if not text.strip():
        return bool(completion.thought)
    if "<think>" in text:
        return True
    return thoughts == "native" and not completion.thought and not ACTION_START.match(text.lstrip())


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
        raise _fault(text, "no_action")
    return text[: starts[-1].start()], starts[-1][1], text[starts[-1].end() :], ""


def _name_head(before: str) -> list[str]:
    """What kinds of text stand before a block, where nothing may stand."""
    fenced, prose = FENCE.search(before), FENCE.sub("", before).strip()
    return ["fence"] * bool(fenced) + ["prose"] * bool(prose)


def _name_tail(after: str) -> str:
    """What kind of text stands behind the action, where nothing may stand."""
    if not FENCE.sub("", after).strip():
        return ""
    if "<information>" in after:
        return "invented_information"
    return "second_action" if ACTION_START.search(after) else "text_after"


def _read_action(think: str, name: str, body: str) -> tuple[Turn, list[str]]:
    """The turn with this action, and the repairs in it; raises ProtocolError."""
    if ANY_TAG.search(body):
        raise _fault(body, "stray_tags")
    if name == SEARCH:
        queries, repairs = tidy_queries(body)
        if not queries:
            raise _fault(body, "empty_query")
        return Turn(think, queries=tuple(queries)), repairs
    answer, repairs = tidy_answer(body)
    if not answer:
        raise _fault(body, "empty_answer")
    return Turn(think, answer=answer), repairs


def _read_call(completion: Completion, thoughts: Thoughts) -> tuple[Turn, list[str]]:
    """The turn in a tool call or in a text beside none; raises ProtocolError."""
    text = _plain(completion.text)
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
            raise _fault(f"{calls[0][0]}({calls[0][1]})", "bad_call")
        repairs += ["second_call"] * (len(calls) > 1)
        return Turn(_take_thought(text, completion), queries=tuple(queries)), repairs
    if ACTION_START.search(text):
        # Beside calls a thought is welcome, and no format.
        shown: Thoughts = "native" if thoughts == "native" else "hidden"
        turn, tidied = _read_turn(completion, shown, in_thought=False)
        if turn.queries:
            return turn, ["call_as_text", *tidied]
        return turn, [kind for kind in tidied if kind != "prose_as_thought"]
    if not text.strip() or completion.finish_reason == "length" or _is_open(completion, thoughts):
        raise _fault(text, "no_action")
    head, closed, tail = text.rpartition("</think>")
    answer, tidied = tidy_answer(ANY_TAG.sub("", tail))
    if not answer:
        raise _fault(text, "no_action")
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
        raise _fault(text, "bad_call") from None
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


def _differ(raw: str, text: str) -> str:
    """What a model wrote, if that is not what is stored but for a closing tag."""
    return "" if text in (raw, grammar.close_turn(raw)) else raw


def _fault(text: str, kind: str) -> ProtocolError:
    """Why a text is no turn."""
    return ProtocolError(f"turn breaks the grammar: {grammar.excerpt(text)}", kind)
