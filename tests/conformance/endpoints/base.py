"""What all endpoints share: from a request to a completion.

    check → render and count the prompt → room for the answer → speak → decode → reply

An endpoint overrides what is its own. Invariant: nothing is generated for a request that `check` or
`measure_room` refuses.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance.brain import Speech, Wish, speak
from conformance.decoding import Decoded, count_tokens, decode_apart
from conformance.dialogue import read_dialogue, read_text
from conformance.refusals import Refused
from searchtrain.demo.draws import hash_parts

if TYPE_CHECKING:
    from conformance.kinds import Kind
    from conformance.ledger import Ledger

CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    body: Mapping[str, Any]
    path: str
    attempt: int = 1
    """How often this body came, this time included."""
    number: int = 1
    """How many requests came so far, this one included."""

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        return self.body["messages"]

    def get(self, name: str, default: Any = None) -> Any:
        """A field; null counts as left out."""
        value = self.body.get(name)
        return default if value is None else value

    @property
    def stop(self) -> list[str]:
        stop = self.get("stop", [])
        return [stop] if isinstance(stop, str) else list(stop)


class Endpoint:
    """An endpoint that refuses nothing; see the module."""

    paths: tuple[str, ...] = (CHAT,)
    limits_rate = False
    """Every `kind.every`-th request gets 429, and every answer names the limits."""
    health: tuple[str, ...] = ()
    """Paths that answer 200 with nothing, as local servers have."""

    def __init__(self, kind: "Kind", ledger: "Ledger") -> None:
        self.kind = kind
        self.ledger = ledger

    # What an endpoint overrides.

    def check(self, asked: Asked) -> None:
        """Raise Refused for a request that the endpoint does not take."""

    def render(self, asked: Asked) -> str:
        """The prompt, or about as many characters."""
        pieces = [f"<|{message.get('role')}|>{read_text(message)}" for message in asked.messages]
        calls = [json.dumps(message.get("tool_calls") or "") for message in asked.messages]
        return "\n".join([*pieces, *calls, json.dumps(asked.get("tools", ""))])

    def measure_room(self, asked: Asked, prompt: int) -> int | None:
        """Tokens that may be written behind a prompt of so many; raises Refused if none."""
        return self.read_limit(asked)

    def read_messages(self, asked: Asked, prompt: str) -> Sequence[Mapping[str, Any]]:
        """The messages as the model reads them in its prompt."""
        return asked.messages

    def continues(self, asked: Asked) -> bool:
        """Whether the endpoint goes on with the last message."""
        return False

    def thinks(self, asked: Asked) -> bool:
        """Whether a model with thoughts of its own has them here."""
        return True

    def has_grammar(self, asked: Asked) -> bool:
        """Whether a response format holds the model."""
        return True

    def decode(self, asked: Asked, speech: Speech, limit: int | None, prompt: str) -> Decoded:
        """Cut what the model generates."""
        return decode_apart(speech, stop=asked.stop, limit=limit)

    def reply(self, asked: Asked, decoded: Decoded, prompt: int) -> dict[str, Any]:
        """The body of the answer."""
        return self.make_reply(asked, self.make_message(decoded), decoded, prompt)

    def describe_models(self) -> list[dict[str, Any]]:
        """The cards of /v1/models."""
        owner = type(self).__name__.lower()
        return [
            {"id": name, "object": "model", "created": 1700000000, "owned_by": owner}
            for name in self.kind.models
        ]

    def refuse_key(self) -> Refused:
        """What a wrong key gets."""
        return Refused("key", 401, {"error": {"message": "Invalid API key", "code": 401}})

    # What all share.

    def answer(self, asked: Asked) -> dict[str, Any]:
        """The body of the answer to one request; raises Refused."""
        self.check(asked)
        prompt = self.render(asked)
        size = count_tokens(prompt)
        limit = self.measure_room(asked, size)
        messages = self.read_messages(asked, prompt)
        dialogue = read_dialogue(messages, continues=self.continues(asked))
        self.ledger.forms.update(dialogue.forms)
        self.ledger.prefills += dialogue.prefix is not None
        speech = self.speak(asked, dialogue, limit, prompt)
        if speech.deviation:
            self.ledger.deviations[speech.deviation] += 1
        return self.reply(asked, self.decode(asked, speech, limit, prompt), size)

    def speak(self, asked: Asked, dialogue: Any, limit: int | None, prompt: str) -> Speech:
        """What the model generates."""
        response_format = asked.get("response_format")
        tools = asked.get("tools", [])
        choice = asked.get("tool_choice", "auto")
        wish = Wish(
            seed=asked.get("seed", 0),
            fields=read_fields(response_format),
            grammar=response_format is not None and self.has_grammar(asked),
            tools=[] if choice == "none" else tools,
            must_call=choice == "required" or isinstance(choice, dict),
            room=limit if limit is not None else self.kind.context,
            attempt=asked.attempt,
        )
        mind = self.kind.mind
        return speak(dialogue, wish, mind, thinks=mind.native and self.thinks(asked))

    def read_limit(self, asked: Asked) -> int | None:
        """Tokens that the request allows."""
        return asked.get("max_completion_tokens", asked.get("max_tokens"))

    def make_message(self, decoded: Decoded, field: str | None = None) -> dict[str, Any]:
        """The message, with the thought in `field`."""
        message: dict[str, Any] = {"role": "assistant", "content": decoded.content}
        if field:
            message[field] = decoded.thought
        if decoded.calls:
            message["content"] = decoded.content or None
            message["tool_calls"] = render_calls(decoded)
        return message

    def make_reply(
        self, asked: Asked, message: dict[str, Any], decoded: Decoded, prompt: int, **more: Any
    ) -> dict[str, Any]:
        """OpenAI's form; `more` goes into the choice."""
        choice = {"index": 0, "message": message, "logprobs": None, **more}
        choice.setdefault("finish_reason", decoded.finish)
        return {
            "id": f"chatcmpl-{asked.number:08d}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": asked.get("model", self.kind.models[0]),
            "choices": [choice],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": decoded.tokens,
                "total_tokens": prompt + decoded.tokens,
            },
        }


def read_fields(response_format: Any) -> frozenset[str] | None:
    """The fields of the object that a response format asks for, in any vendor's spelling.

    None if it asks for text, or for some object and says no more.
    """
    if not isinstance(response_format, Mapping):
        return None
    schema: Any = response_format
    for name in ("json_schema", "value", "schema"):
        if isinstance(schema.get(name), Mapping):
            schema = schema[name]
    properties = schema.get("properties")
    return frozenset(properties) if isinstance(properties, Mapping) else None


def render_calls(decoded: Decoded) -> list[dict[str, Any]]:
    """Native calls as they come back."""
    return [
        {
            "id": f"call_{hash_parts(place, decoded.content, call):016x}",
            "type": "function",
            "function": {
                "name": call["name"],
                "arguments": json.dumps(call["arguments"], ensure_ascii=False),
            },
        }
        for place, call in enumerate(decoded.calls)
    ]
