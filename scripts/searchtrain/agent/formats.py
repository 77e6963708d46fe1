"""How a turn is written on the wire: the formats, and the only module that knows their forms.

A stored trajectory has one form, that of `grammar`. A format makes chat messages of it, which are
what a request holds and what SFT data are made from; `reading` reads a model's completion back.
Invariant: a conversation is rendered in one way, so what a student is trained on is what it is
served, and reading a rendered turn gives that turn.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from searchtrain.agent import grammar
from searchtrain.core.errors import InputError, ProtocolError
from searchtrain.models.model import Message
from searchtrain.models.role import Role

Thoughts = Literal["written", "native", "hidden"]
"""How a model thinks: in the text, with the tags that the prompt asks for; by itself, in a field or
in a text whose tag the chat template has opened; by itself, and nobody is shown it."""
Stored = Sequence[Mapping[str, str]]
"""A conversation as it is stored: system (or none), user, then assistant and tool in turn."""

SEARCH_TOOL: Mapping[str, Any] = MappingProxyType(
    {
        "type": "function",
        "function": {
            "name": "search",
            "description": "Look queries up, all at the same time.",
            "parameters": {
                "type": "object",
                "properties": {
                    "queries": {
                        "type": "array",
                        "items": {"type": "string"},
                        "description": "one or more queries that do not depend on each other",
                    }
                },
                "required": ["queries"],
                "additionalProperties": False,
            },
        },
    }
)
"""The one function of `tool_calls`, as OpenAI's API has it."""
OPENED = "<information>\n"
CLOSED = "\n</information>"
THINK = re.compile(r"</?think>")
PASSAGE = re.compile(r"^(Doc \d+) \(Title: ")


@dataclass(frozen=True, slots=True)
class Format:
    """`tags`: the grammar's tags in chat turns, observations as messages of role `tool`."""

    name: str = "tags"
    stop: tuple[str, ...] = grammar.STOP
    """Strings behind which nothing of a turn can follow; the text is cut there in any case."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """Functions that the model may call."""
    opening: str = ""
    """What the environment begins every assistant message with."""
    in_thought: bool = False
    """Whether a model that thinks by itself acts inside its thought."""
    thought_field: str = ""
    """Where the thought beside a native call stands; empty: in the content."""

    def render_messages(self, messages: Stored) -> list[Message]:
        """A stored conversation as chat messages; it may end anywhere."""
        return [dict(message) for message in messages]

    def make_request(self, messages: Stored) -> tuple[list[Message], str]:
        """What a model is asked for the next turn: messages, and a text that it goes on with."""
        return self.render_messages(messages), ""

    def explain(self, fault: ProtocolError) -> str:
        """What a model is told whose turn can not be read."""
        return grammar.explain(fault)


class SearchR1(Format):
    """`search_r1`: the tags in one growing assistant message, as Search-R1's rollouts have them.

    Instructions and question are one user message. After a `</search>` the environment writes a
    blank line, the results and a blank line, and the model goes on in the same message. The results
    stand as in Search-R1's inference script, `Doc 1(Title: "…") text` on lines between the tags;
    of several queries each has a line of its own, which Search-R1 does not know. (The script also
    puts a blank line before each turn that it has read; its models are trained without.)
    """

    __slots__ = ()

    def render_messages(self, messages: Stored) -> list[Message]:
        """The question, and all that follows it as one assistant message."""
        first, *said = _join_question(messages)
        if not said:
            return [first]
        return [first, {"role": grammar.ASSISTANT, "content": self._join(said)}]

    def make_request(self, messages: Stored) -> tuple[list[Message], str]:
        """The question, and what the model goes on with; empty before the first turn."""
        first, *said = _join_question(messages)
        return [first], self.opening + self._join(said)

    def _join(self, messages: Stored) -> str:
        return "".join(
            _show_results(message["content"])
            if message["role"] == grammar.OBSERVATION
            else self._write_turn(message["content"])
            for message in messages
        )

    def _write_turn(self, turn: str) -> str:
        return turn


class InThought(SearchR1):
    """`search_r1` of a model that thinks by itself: it searches inside one long thought.

    That is SimpleDeepSearcher's way with QwQ: the message begins with `<think>`, results are
    written into the thought, and what ends it is the answer behind `</think>`. What it reaches:
    the whole thought stays in the context, and each part up to a search is stored as that turn's
    thought, so curation and SFT data are as of any teacher. What it does not: the tags are
    Search-R1's and not SimpleDeepSearcher's special tokens, results come in Search-R1's form, and
    a tag that the thought only names ends the turn, since here a tag in the thought is a search.
    It needs a template that leaves a last assistant message as it is (QwQ's, R1's; Qwen3's closes
    the thought, and refuses one that is there).
    """

    __slots__ = ()

    def _write_turn(self, turn: str) -> str:
        return THINK.sub("", turn)


class ToolCalls(Format):
    """`tool_calls`: native function calling, with the thought as the message's content.

    The last turn is the thought and `<answer>…</answer>`. A turn that can not be read stays as
    text, and the notice on it is a user message, since it answers no call. A model that thinks by
    itself gets its thoughts back in a field, as DeepSeek demands and Qwen3's template writes; not a
    student, which is trained on what stands in the content.
    """

    __slots__ = ()

    def render_messages(self, messages: Stored) -> list[Message]:
        """Calls and the results that answer them, with ids that count from `call_0`."""
        rendered: list[Message] = []
        called, count = "", 0
        for message in messages:
            text = message["content"]
            if message["role"] == grammar.ASSISTANT:
                called = f"call_{count}"
                rendered.append(self._render_call(text, called))
                called = called if "tool_calls" in rendered[-1] else ""
                count += bool(called)
            elif message["role"] == grammar.OBSERVATION:
                text = text.removeprefix(OPENED).removesuffix(CLOSED)
                reply = {"role": "tool", "tool_call_id": called, "content": text}
                rendered.append(reply if called else {"role": "user", "content": text})
            else:
                rendered.append(dict(message))
        return rendered

    def explain(self, fault: ProtocolError) -> str:
        """See `Format.explain`."""
        return (
            f"That turn was not valid ({fault.kind.replace('_', ' ')}). Call the tool search with a"
            " list of queries, or write one answer block, and nothing else."
        )

    def _render_call(self, text: str, name: str) -> Message:
        """An assistant turn with its call, its answer, or as it is."""
        try:
            turn = grammar.parse_turn(text)
        except ProtocolError:
            return {"role": grammar.ASSISTANT, "content": text}
        if turn.answer is not None:
            content = f"{turn.think}\n\n<answer>{turn.answer}</answer>".lstrip()
            return {"role": grammar.ASSISTANT, "content": content}
        arguments = json.dumps({"queries": list(turn.queries)}, ensure_ascii=False)
        call = {
            "id": name, "type": "function", "function": {"name": "search", "arguments": arguments},
        }  # fmt: skip
        said = {"content": "", self.thought_field or "content": turn.think}
        return {"role": grammar.ASSISTANT, **said, "tool_calls": [call]}


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "tags": Format(),
        "search_r1": SearchR1("search_r1"),
        "tool_calls": ToolCalls("tool_calls", (), (SEARCH_TOOL,)),
    }
)
"""By the names of `models.<role>.format`."""
IN_THOUGHT = InThought("search_r1", opening="<think>\n", in_thought=True)
THINKING_CALLS = replace(FORMATS["tool_calls"], thought_field="reasoning_content")


def find_thoughts(role: Role) -> Thoughts:
    """How a role's model thinks. OpenAI's reasoning models show nobody what they think."""
    if role.reasoning != "native":
        return "written"
    return "hidden" if role.dialect == "openai_reasoning" else "native"


def open_format(name: str, role: Role) -> Format:
    """The format `name` as a role writes it; raises InputError where its endpoint can not."""
    thoughts = find_thoughts(role)
    if name == "tool_calls" and thoughts == "native" and role.name != "student":
        return THINKING_CALLS
    if name != "search_r1":
        return FORMATS[name]
    if not role.continues:
        raise InputError(
            f"models.{role.name}.format: search_r1 is one message that the model goes on with, and"
            f" an endpoint of dialect {role.dialect} begins a new one; set dialect: vllm or sglang"
            " if it is one of these, or format: tags"
        )
    return IN_THOUGHT if thoughts == "native" else FORMATS[name]


def _join_question(messages: Stored) -> list[Mapping[str, str]]:
    """Instructions and question as one user message, as Search-R1 sends them, and the rest."""
    if messages[0]["role"] != "system":
        return list(messages)
    system, user, *said = messages
    content = f"{system['content']} Question: {user['content']}\n"
    return [{"role": "user", "content": content}, *said]


def _show_results(observation: str) -> str:
    """An observation as Search-R1 writes it, with its blank lines."""
    lines = observation.removeprefix(OPENED).removesuffix(CLOSED).split("\n")
    if sum(line.startswith("Query: ") for line in lines) == 1:
        lines = [line for line in lines if not line.startswith("Query: ")]
    shown = "\n".join(PASSAGE.sub(r"\1(Title: ", line) for line in lines)
    return f"\n\n<information>{shown}\n</information>\n\n"
