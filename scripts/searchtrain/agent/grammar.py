"""The turn grammar: the one form in which a trajectory is stored, whatever its format (`formats`).

The grammar is InfoSeeker's (Search-R1's tags, one action a turn, several queries a search):

    assistant   <think>…</think> then exactly one of
                <search>one query a line, run in parallel</search>
                <answer>a word or phrase</answer>
    tool        <information>…</information>

with nothing but white space between blocks. What models really write is made into this form by
`reading`. Invariant: what `render_*` writes, `parse_turn` and `validate_trajectory` accept, so
synthesis, training and inference cannot drift apart.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from searchtrain.core.errors import ProtocolError

ASSISTANT = "assistant"
OBSERVATION = "tool"
STOP = ("</search>", "</answer>")
"""Strings at which a model is told to stop: nothing may follow an action in its turn."""

TAGS = ("think", "search", "answer", "information")
ANY_TAG = re.compile(rf"</?(?:{'|'.join(TAGS)})>")
TURN = re.compile(
    r"\s*<think>(?P<think>.*?)</think>\s*<(?P<action>search|answer)>(?P<body>.*?)</(?P=action)>\s*",
    re.DOTALL,
)
OBSERVED = re.compile(r"<information>.*</information>", re.DOTALL)
ENUMERATION = re.compile(r"^\(?(\d+)[.)]\s+(?=\S)")

FORCED_THINK = "I can not search any more, so I answer with what I know."
FORCED_PREFIX = f"<think>{FORCED_THINK}</think>\n<answer>"
"""What the last assistant turn begins with once searching is over (see `forced`)."""
FORCED_REQUEST = (
    "No more searches are allowed. Give the answer now, a word or a phrase inside <answer> and"
    " </answer>, and nothing else."
)
"""What a model is asked then that does not continue a message."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One parsed assistant turn: its reasoning and either queries or an answer."""

    think: str
    queries: tuple[str, ...] = ()
    answer: str | None = None


def render_turn(think: str, *, queries: Sequence[str] = (), answer: str | None = None) -> str:
    """Write one assistant turn in the canonical form that the student is trained on."""
    tag, body = ("search", "\n".join(queries)) if answer is None else ("answer", answer)
    return f"<think>{think}</think>\n<{tag}>{body}</{tag}>"


def close_turn(text: str) -> str:
    """Put back the closing tag that a server cut off with the stop string."""
    for tag in ("search", "answer"):
        if f"<{tag}>" in text and f"</{tag}>" not in text:
            return text + f"</{tag}>"
    return text


def parse_turn(text: str) -> Turn:
    """Parse one assistant turn.

    Raises ProtocolError with kind `no_think`, `no_action` (neither tag pair is complete),
    `stray_tags` (more than one think block and one action), `stray_text` (text outside the
    blocks), `empty_query` or `empty_answer`.
    """
    match = TURN.fullmatch(text)
    if match is None or len(ANY_TAG.findall(text)) != 4:
        raise ProtocolError(f"turn breaks the grammar: {excerpt(text)}", _name_fault(text))
    think, body = match["think"].strip(), match["body"]
    if match["action"] == "answer":
        if not body.strip():
            raise ProtocolError("turn has an empty <answer>", "empty_answer")
        return Turn(think, answer=body.strip())
    queries = strip_numbers([line.strip() for line in body.splitlines() if line.strip()])
    if not queries:
        raise ProtocolError("turn has an empty <search>", "empty_query")
    return Turn(think, queries=tuple(queries))


def strip_numbers(lines: Sequence[str]) -> list[str]:
    """Queries without the numbers of a list, where they are one: 1, 2, … of at least two lines.

    A number alone may be the query's own: `1. FC Köln`, `2. Bundesliga 2001`.
    """
    marks = [ENUMERATION.match(line) for line in lines]
    numbers = [int(mark[1]) for mark in marks if mark]
    if len(lines) < 2 or numbers != list(range(1, len(lines) + 1)):
        return list(lines)
    return [ENUMERATION.sub("", line) for line in lines]


def render_observation(
    results: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], max_chars: int
) -> str:
    """Write what a search returned as one observation of at most `max_chars` characters.

    `results`: for each query its passages, best first, as `{"contents": '"Title"\\ntext', …}`.
    The budget is shared equally among the queries and the closing tag is never cut
    (Search-R1 loses it, InfoSeeker overwrites the last tokens with it).
    """
    overhead = len("<information>\n\n</information>") + max(0, len(results) - 1)
    share = (max_chars - overhead) // max(1, len(results))
    blocks = []
    for query, passages in results:
        lines = [_render_passage(rank, passage) for rank, passage in enumerate(passages, 1)]
        block = "\n".join([f"Query: {query}", *(lines or ["No passage was found."])])
        blocks.append(block[: max(0, share)].rstrip())
    return render_notice("\n".join(blocks))


def render_notice(text: str) -> str:
    """Write a message of the environment itself (an invalid turn, a failed search)."""
    return f"<information>\n{text}\n</information>"


def explain(fault: ProtocolError) -> str:
    """What the environment tells a model whose turn broke the grammar (Search-R1, InfoSeeker)."""
    return (
        f"That turn was not valid ({fault.kind.replace('_', ' ')}). Write one think block,"
        " then one search block or one answer block, and nothing else."
    )


def neutralise(text: str) -> str:
    """Take the grammar's tags out of text that comes from outside, such as a web page."""
    return ANY_TAG.sub("", text)


def read_think(turn: str) -> str:
    """A turn's reasoning; the whole turn when it has no think block."""
    _, opened, rest = turn.partition("<think>")
    think, closed, _ = rest.partition("</think>")
    return think if opened and closed else turn


def read_observation(observation: str) -> str:
    """What the passages of an observation say, without what `render_observation` adds."""
    lines = neutralise(observation).splitlines()
    return "\n".join(
        line.partition(" (Title: ")[2] if line.startswith("Doc ") else line
        for line in lines
        if not line.startswith("Query: ")
    )


def validate_trajectory(messages: Sequence[Mapping[str, str]]) -> list[Turn]:
    """Check a whole trajectory and return its assistant turns.

    `messages`: optional system, one user, then assistant and tool in turn, ending with an answer.
    Raises ProtocolError with the kinds of `parse_turn`, `roles`, `observation`, `early_answer`
    or `no_answer`.
    """
    body = messages[1:] if messages and messages[0]["role"] == "system" else messages
    if len(body) < 2 or body[0]["role"] != "user":
        raise ProtocolError("a trajectory opens with a user message and an assistant turn", "roles")
    turns: list[Turn] = []
    for place, message in enumerate(body[1:]):
        expected = ASSISTANT if place % 2 == 0 else OBSERVATION
        if message["role"] != expected:
            raise ProtocolError(
                f"message {place + 1} has role {message['role']!r} where {expected!r} belongs",
                "roles",
            )
        if expected == OBSERVATION:
            _check_observation(message["content"])
            continue
        if turns and turns[-1].answer is not None:
            raise ProtocolError("the trajectory goes on after its answer", "early_answer")
        turns.append(parse_turn(message["content"]))
    if turns[-1].answer is None or body[-1]["role"] != ASSISTANT:
        raise ProtocolError("the trajectory ends without an answer", "no_answer")
    return turns


def _render_passage(rank: int, passage: Mapping[str, Any]) -> str:
    """Search-R1's line for a passage: its quoted title, then its text."""
    title, _, text = str(passage["contents"]).partition("\n")
    return f"Doc {rank} (Title: {neutralise(title)}) {neutralise(text)}"


def _check_observation(text: str) -> None:
    if not OBSERVED.fullmatch(text) or len(ANY_TAG.findall(text)) != 2:
        raise ProtocolError(f"an observation breaks the grammar: {excerpt(text)}", "observation")


def _name_fault(text: str) -> str:
    if "<think>" not in text or "</think>" not in text:
        return "no_think"
    if not any(f"<{tag}>" in text and f"</{tag}>" in text for tag in ("search", "answer")):
        return "no_action"
    return "stray_tags" if len(ANY_TAG.findall(text)) != 4 else "stray_text"


def excerpt(text: str) -> str:
    """A text in one short line, for a message."""
    text = " ".join(text.split())
    return repr(text if len(text) <= 120 else text[:117] + "...")
