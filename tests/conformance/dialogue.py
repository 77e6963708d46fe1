"""What a model is told: a request's messages, read back into one conversation.

Observations come as role `tool`, as user messages in `<tool_response>`, as results of native calls
or inside one growing assistant message; turns come as text or as native calls. Invariant: whatever
the wire form, the scripted roles are shown the same conversation.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from searchtrain.agent.grammar import ASSISTANT, OBSERVATION, render_turn

INFORMATION = re.compile(r"<information>.*?</information>", re.DOTALL)
TOOL_RESPONSE = re.compile(r"\s*<tool_response>\n?(.*?)\n?</tool_response>\s*", re.DOTALL)
ACTION = re.compile(r"<(search|answer)>(.*?)</\1>", re.DOTALL | re.IGNORECASE)
OPEN_ANSWER = re.compile(r"<answer>[^<]*$", re.IGNORECASE)
FORCED = re.compile(
    r"no (?:more|further) search|answer now|can ?no[nt]? ?(?:longer )?search|can't search"
    r"|final answer|without (?:any )?(?:more |further )?search",
    re.IGNORECASE,
)
"""How a user message says that the answer is wanted at once."""
ENDED = "<information>\nNo more searches are allowed. Answer now.\n</information>"
QUESTION = re.compile(r"(?:^|\s)Question:\s*([^\n]+)")
"""The question at the end of a prompt that is itself the user message (Search-R1)."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One conversation as the scripted roles read it."""

    system: str
    turns: tuple[tuple[str, str], ...]
    """(role, text), the question first; canonical turns and observations behind it."""
    prefix: str | None = None
    """What the model has to go on with, inside its own turn; None: it begins a turn."""
    forced: bool = False
    """Whether a user message asks for the answer at once."""
    forms: Counter[str] = field(default_factory=Counter)
    """Observations by the form in which they came."""

    @property
    def key(self) -> str:
        """What deviations are drawn by."""
        return repr((self.system, self.turns, self.prefix))

    def to_messages(self) -> list[dict[str, str]]:
        """The conversation as the scripted roles take it."""
        messages = [{"role": "system", "content": self.system}] if self.system else []
        messages += [{"role": role, "content": text} for role, text in self.turns]
        if self.forced:
            messages.append({"role": OBSERVATION, "content": ENDED})
        return messages


def read_dialogue(messages: Sequence[Mapping[str, Any]], *, continues: bool) -> Dialogue:
    """Read a request's messages; `continues`: the server goes on with the last one if it can.

    A last assistant message of a server that does not is read as a turn that was begun: if it had
    come to its answer, the answer is what the model gives next.
    """
    system = "\n\n".join(
        read_text(message) for message in messages if message["role"] in ("system", "developer")
    )
    turns: list[tuple[str, str]] = []
    forms: Counter[str] = Counter()
    forced = False
    prefix: str | None = None
    called = False
    rest = [message for message in messages if message["role"] not in ("system", "developer")]
    for place, message in enumerate(rest):
        role, text = message["role"], read_text(message)
        if role == ASSISTANT:
            last = place == len(rest) - 1
            called = bool(message.get("tool_calls"))
            pieces = _split(text)
            if len(pieces) > 1:
                forms["assistant"] += len(pieces) // 2
            for number, piece in enumerate(pieces):
                if number % 2:
                    turns.append((OBSERVATION, piece))
                elif last and number == len(pieces) - 1 and not called:
                    if continues:
                        prefix = piece if len(pieces) == 1 else piece.lstrip()
                    else:
                        forced = bool(OPEN_ANSWER.search(piece))
                        turns += [] if forced or not piece.strip() else [(ASSISTANT, piece)]
                elif called:
                    turns.append((ASSISTANT, _read_calls(message)))
                elif piece.strip():
                    turns.append((ASSISTANT, _canonicalise(piece)))
        elif role in (OBSERVATION, "function", "ipython"):
            forms["tool_calls" if called and message.get("tool_call_id") else "tool"] += 1
            turns.append((OBSERVATION, text))
        elif not any(known == "user" for known, _ in turns):
            turns.append(("user", _read_question(text)))
            asked = QUESTION.search(text)
            forced = bool(asked and FORCED.search(text, asked.end()))
        else:
            inner = TOOL_RESPONSE.fullmatch(text)
            observed = inner[1] if inner else text
            if inner or INFORMATION.search(text):
                forms["user"] += 1
                turns.append((OBSERVATION, observed))
            else:
                turns.append(("user", text))
            forced = bool(FORCED.search(INFORMATION.sub("", observed)))
    return Dialogue(system, tuple(turns), prefix, forced, forms)


def read_text(message: Mapping[str, Any]) -> str:
    """A message's text, whether it is one or a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content if isinstance(part, dict))


def read_queries(arguments: Any) -> list[str]:
    """The queries in the arguments of a native call, whatever the fields are called."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            return [arguments]
    values = arguments.values() if isinstance(arguments, dict) else [arguments]
    return [
        str(query) for value in values for query in (value if isinstance(value, list) else [value])
    ]


def _split(text: str) -> list[str]:
    """An assistant message as turn, observation, turn, …; always an odd number of pieces."""
    pieces: list[str] = []
    end = 0
    for match in INFORMATION.finditer(text):
        pieces += [text[end : match.start()], match[0]]
        end = match.end()
    return [*pieces, text[end:]]


def _canonicalise(text: str) -> str:
    """A turn as the scripted roles write it; templates and clients may have taken its thought."""
    action = ACTION.search(text.rpartition("</think>")[2]) or ACTION.search(text)
    if action is None:
        return text
    if action[1].lower() == "answer":
        return render_turn("…", answer=action[2].strip())
    return render_turn("…", queries=action[2].strip().splitlines())


def _read_calls(message: Mapping[str, Any]) -> str:
    queries = [
        query
        for call in message["tool_calls"]
        for query in read_queries(call.get("function", {}).get("arguments"))
    ]
    return render_turn("…", queries=queries)


def _read_question(text: str) -> str:
    match = QUESTION.search(text)
    return match[1] if match else text
