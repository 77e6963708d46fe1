"""What a served student reads and writes: a conversation under the chat template of its base.

Invariant: what stands before an own turn in an encoded conversation is, text for text, the prompt
that the server makes when it asks for that turn; where a template rewrites what it wrote before,
there is no such conversation and InputError says so.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from searchtrain.agent import grammar
from searchtrain.agent.formats import open_format
from searchtrain.core.errors import InputError
from searchtrain.models.model import Message
from searchtrain.models.request import make_body
from searchtrain.models.role import Role

OBSERVED = re.compile(r"\s*<information>.*?</information>\s*", re.DOTALL)
"""What the environment puts into a growing assistant message (format `search_r1`)."""
SHOWN = 60
"""Characters of each side that a difference shows, from shortly before it."""
TEMPLATE_OPTIONS = ("add_generation_prompt", "continue_final_message")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Options:
    """With what options the server renders a request of the student's role."""

    asked: Mapping[str, Any]
    continued: Mapping[str, Any] | None
    """Of a request that goes on with a message; None: the server can not."""
    opening: str = ""
    """What the environment begins a growing message with, before the student writes."""


def read_options(role: Role, form: str) -> Options:
    """The options that requests of `role` in the format `form` come to."""
    message = {"role": "user", "content": "?"}
    try:
        continued = _list_options(make_body(role, [message], 0, prefill="!"))
    except InputError:
        continued = None
    asked = _list_options(make_body(role, [message], 0))
    return Options(asked, continued, open_format(form, role).opening)


def _list_options(body: Mapping[str, Any]) -> dict[str, Any]:
    fields = {"add_generation_prompt": True, **body, **body.get("extra_body", {})}
    options = {name: fields[name] for name in TEMPLATE_OPTIONS if name in fields}
    return options | dict(fields.get("chat_template_kwargs") or {})


@dataclass(frozen=True, slots=True)
class Encoded:
    """A conversation as tokens."""

    ids: list[int]
    own: list[bool]
    """Whether the student wrote the token; its end of turn, and what the template writes between
    that and the next message, are its own."""


class Served:
    """A chat template with the options of a server."""

    def __init__(self, tokenizer: Any, options: Options) -> None:
        """Raises InputError for a tokenizer without a chat template, or that knows no offsets."""
        if not tokenizer.chat_template:
            raise InputError(
                f"{tokenizer.name_or_path}: the tokenizer has no chat template; use an instruct"
                " model"
            )
        if not tokenizer.is_fast:
            raise InputError(
                f"{tokenizer.name_or_path}: no tokenizer.json in this folder; it is needed to know"
                " which text a token is"
            )
        self.tokenizer = tokenizer
        self.options = options

    def encode(
        self, messages: Sequence[Message], tools: Sequence[Any] = (), last: bool = False
    ) -> Encoded:
        """The tokens of a conversation that ends with a turn of the student's.

        `last`: mark that turn alone as its own. Raises InputError where the template rewrites what
        stood in an earlier prompt.
        """
        text, spans = self.split(messages, tools)
        return self.mark(text, spans[-1:] if last else spans)

    def mark(self, text: str, spans: Sequence[Span]) -> Encoded:
        """The tokens of a text that `split` has made. A token that begins in the student's text is
        the student's."""
        encoding = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        own = [False] * len(encoding["input_ids"])
        starts = iter(spans)
        start, end = next(starts)
        for place, (first, last) in enumerate(encoding["offset_mapping"]):
            while first >= end:
                start, end = next(starts, (len(text), len(text) + 1))
            own[place] = start <= first and start < last
        return Encoded(encoding["input_ids"], own)

    def tokenize(self, text: str) -> list[int]:
        """A prompt as the server reads it."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def split(
        self, messages: Sequence[Message], tools: Sequence[Any] = ()
    ) -> tuple[str, list[Span]]:
        """The text of a conversation, and where in it the student's own stands."""
        text = ""
        spans: list[Span] = []
        turns = [place for place, each in enumerate(messages) if each["role"] == grammar.ASSISTANT]
        prompts = [self._begin(messages[:place], tools, messages[place]) for place in turns]
        for number, (place, asked) in enumerate(zip(turns, prompts, strict=True), 1):
            _compare(asked, text, f"the prompt of turn {number} does not keep turn {number - 1}")
            before, said = text, self.finish(messages[: place + 1], tools)
            text = self._cut(prompts[number], len(asked), said) if prompts[number:] else said
            _compare(text, asked, f"turn {number} does not stand behind its own prompt")
            _check_kept(text[len(before) :], messages[place]["content"] or "", number)
            spans += self._split_turn(messages[:place], tools, messages[place], asked, text)
        return text, spans

    def _begin(self, before: Sequence[Message], tools: Sequence[Any], message: Message) -> str:
        """The prompt at which the student began to write a message."""
        begun = (message["content"] or "").startswith(self.options.opening)
        return self.ask(before, tools, self.options.opening * begun)

    def _cut(self, prompt: str, start: int, said: str) -> str:
        """What a later prompt keeps of the conversation up to a turn that begins at `start`.

        `said`: how the turn is rendered as the last one, where some templates (Qwen3's) put in an
        empty thought that they leave out later.
        """
        mark = self.tokenizer.eos_token or ""
        end = prompt.find(mark, start)
        return said if not mark or end < 0 else prompt[:end] + mark + said.rpartition(mark)[2]

    def _split_turn(
        self,
        before: Sequence[Message],
        tools: Sequence[Any],
        message: Message,
        asked: str,
        text: str,
    ) -> Iterator[Span]:
        """The student's own text of one assistant message, observations within it left out."""
        start, content = len(asked), message["content"] or ""
        begin = max(text.rfind(content), 0)
        for match in OBSERVED.finditer(content):
            prompt = self.ask(before, tools, content[: match.end()])
            end = begin + match.end()
            _compare(text[:end], prompt, "the message is not what the prompt that continues it has")
            _compare(prompt, text[:end].rstrip(), "the prompt that continues the message is short")
            yield start, begin + match.start()
            start = len(prompt)  # some templates (Llama's) take white space off a message's end
        yield start, len(text)

    def ask(self, messages: Sequence[Message], tools: Sequence[Any], begun: str = "") -> str:
        """The prompt of the next turn, or of the rest of one that was `begun`."""
        if not begun:
            return self._render(messages, tools, self.options.asked)
        if self.options.continued is None:
            raise InputError("models.student: this format needs a server that continues a message")
        last = {"role": grammar.ASSISTANT, "content": begun}
        return self._render([*messages, last], tools, self.options.continued)

    def finish(self, messages: Sequence[Message], tools: Sequence[Any]) -> str:
        """The conversation with its last turn ended."""
        return self._render(messages, tools, {**self.options.asked, "add_generation_prompt": False})

    def _render(
        self, messages: Sequence[Message], tools: Sequence[Any], options: Mapping[str, Any]
    ) -> str:
        try:
            text = self.tokenizer.apply_chat_template(
                [_parse_arguments(message) for message in messages],
                tools=list(tools) or None,
                tokenize=False,
                **options,
            )
        except Exception as error:  # whatever a template raises
            raise InputError(f"the chat template refuses the conversation: {error}") from None
        return str(text)


def find_difference(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Where two texts, or two lists of tokens, begin to differ."""
    pairs = zip(one, other, strict=False)
    shared = min(len(one), len(other))
    return next((place for place, (left, right) in enumerate(pairs) if left != right), shared)


def _compare(text: str, begin: str, fault: str) -> None:
    """Raise InputError unless `text` begins with `begin`."""
    if text.startswith(begin):
        return
    place = max(0, find_difference(text, begin) - SHOWN // 3)
    raise InputError(
        f"{fault}: {begin[place : place + SHOWN]!r} has become {text[place : place + SHOWN]!r}"
    )


def _check_kept(text: str, said: str, turn: int) -> None:
    """Raise InputError unless a rendered turn holds all that it says, but for white space."""
    if "".join(said.split()) not in "".join(text.split()):
        raise InputError(
            f"the chat template leaves out a part of turn {turn}: {said[:SHOWN]!r} has become"
            f" {text[:SHOWN]!r}"
        )


def _parse_arguments(message: Message) -> dict[str, Any]:
    """The message as servers give it to templates: arguments of calls as objects."""
    if not message.get("tool_calls"):
        return dict(message)
    calls = [
        {
            **call,
            "function": {
                **call["function"],
                "arguments": json.loads(call["function"]["arguments"]),
            },
        }
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}
