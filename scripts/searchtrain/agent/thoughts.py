"""Where the thought in a model's text stands, and where it ends.

Invariant: what stands before the thought, in it and behind it is told apart, and nothing of it is
lost but what is named as a repair.
"""

import re
from dataclasses import dataclass, field

from searchtrain.agent import grammar
from searchtrain.agent.formats import Thoughts
from searchtrain.agent.tidying import FENCE
from searchtrain.core.errors import ProtocolError
from searchtrain.models.model import Completion

LOOSE_TAG = re.compile(rf"<\s*(/?)\s*({'|'.join(grammar.TAGS)})\s*>", re.IGNORECASE)
ACTION_END = re.compile(r"</(search|answer)>")
ACTION_START = re.compile(r"<(search|answer)>")
BLOCK = re.compile(r"(?P<between>.*?)<think>(?P<inner>.*?)</think>", re.DOTALL)


@dataclass(slots=True)
class Parts:
    """A text in pieces."""

    thoughts: list[str]
    rest: str
    repairs: list[str] = field(default_factory=list)
    needed: bool = False
    """Whether there is no thought where one should be."""


def split_thought(text: str, completion: Completion, thoughts: Thoughts, in_thought: bool) -> Parts:
    """The thought, wherever it stands, and the text behind it."""
    held = (completion.thought or "").strip()
    head, closed, tail = text.partition("</think>")
    action = ACTION_END.search(head)
    if in_thought and action and (start := head.rfind(f"<{action[1]}>", 0, action.start())) >= 0:
        # The first action counts, and the thought goes on behind what it brings.
        return Parts([head[:start].removeprefix("<think>")], text[start:])
    if not closed:
        return _split_unclosed(text, completion, thoughts, in_thought)
    before, opened, inner = head.partition("<think>")
    blocks, repairs = ([inner], name_head(before)) if opened else ([head], [])
    rest = tail
    while match := BLOCK.match(rest):
        if ACTION_START.search(match["between"]):
            break
        # An empty block is the template's, and beside a thought of its own a model writes the one
        # that the prompt asks for.
        second = thoughts == "written" and "".join(blocks).strip()
        repairs += ["second_think"] * bool(second) + name_head(match["between"])
        blocks.append(match["inner"])
        rest = rest[match.end() :]
    if held:
        blocks.insert(0, held)
    return Parts(blocks, rest, repairs)


def _split_unclosed(
    text: str, completion: Completion, thoughts: Thoughts, in_thought: bool
) -> Parts:
    """The same of a text that closes no thought; raises ProtocolError where it is all thought."""
    if completion.thought:
        return Parts([completion.thought], text)
    if in_thought:
        first = ACTION_START.search(text)
        place = first.start() if first else len(text)
        return Parts([text[:place].removeprefix("<think>")], text[place:])
    before, opened, inner = text.partition("<think>")
    if opened:
        ends = [match.end() for match in ACTION_END.finditer(inner)]
        start = max(inner.rfind("<search>"), inner.rfind("<answer>"))
        finished = completion.finish_reason != "length" and ends and not inner[ends[-1] :].strip()
        if thoughts == "native" or start < 0 or not finished:
            raise make_fault(text, "no_think")
        repairs = ["unclosed_think", *name_head(before)]
        return Parts([inner[:start]], inner[start:], repairs)
    if is_unended(completion, thoughts):
        raise make_fault(text, "no_think")
    return Parts([], text, needed=thoughts == "written")


def spell_tags(text: str) -> str:
    """A text with the grammar's tags as the grammar spells them."""
    return LOOSE_TAG.sub(lambda tag: f"<{tag[1]}{tag[2].lower()}>", text)


def make_plain(text: str) -> str:
    """A text without fences, its tags spelt as the grammar's."""
    return FENCE.sub("", spell_tags(text))


def is_unended(completion: Completion, thoughts: Thoughts) -> bool:
    """Whether a text ends inside its thought.

    Of a model that thinks by itself the chat template may have opened it. One that shows its
    thoughts nowhere begins with the action.
    """
    text = make_plain(completion.text)
    if "</think>" in text:
        return False
    if not text.strip():
        return bool(completion.thought)
    if "<think>" in text:
        return True
    return thoughts == "native" and not completion.thought and not ACTION_START.match(text.lstrip())


def name_head(before: str) -> list[str]:
    """What kinds of text stand before a block, where nothing may stand."""
    fenced, prose = FENCE.search(before), FENCE.sub("", before).strip()
    return ["fence"] * bool(fenced) + ["prose"] * bool(prose)


def make_fault(text: str, kind: str) -> ProtocolError:
    """Why a text is no turn."""
    return ProtocolError(f"turn breaks the grammar: {grammar.excerpt(text)}", kind)
