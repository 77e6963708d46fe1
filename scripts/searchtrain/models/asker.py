"""Ask a model for one JSON object: the only way in which a stage does so.

Invariant: a caller gets an object that fits the schema and that its own check accepts, or the
fault of the last answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from searchtrain.core.errors import ReplyError
from searchtrain.models.model import Completion, Model
from searchtrain.models.reply import parse_object

Answer = TypeVar("Answer")

CUT = "The answer was cut off at the limit of tokens, so write a shorter one."


@dataclass(slots=True)
class Bill:
    """What some requests have cost, in US dollars, as if nothing had been in the cache."""

    dollars: float = 0.0

    def add(self, completion: Completion, price: Mapping[str, float]) -> None:
        """Count one answer; `price`: dollars per million `prompt` and `completion` tokens."""
        self.dollars += completion.prompt_tokens * price.get("prompt", 0) / 1e6
        self.dollars += completion.completion_tokens * price.get("completion", 0) / 1e6


@dataclass(frozen=True, slots=True)
class Asker:
    """A model with its prompt and the form of its answers."""

    model: Model
    system: str
    """Rendered prompt."""
    schema: Mapping[str, Any]
    max_chars: int | None = None
    """Longest answer that is looked at; None: any."""
    repairs: int = 0
    """How often an answer that does not fit is sent back with its fault."""

    async def ask(
        self,
        request: str | Mapping[str, Any],
        read: Callable[[dict[str, Any]], Answer],
        *,
        seed: int,
        bill: Bill | None = None,
    ) -> Answer:
        """Send `request`, a mapping as JSON, and return what `read` makes of the object.

        `read` raises ReplyError for what the schema cannot say. `bill`: counts every answer.
        Raises ModelError; ReplyError when the last repair does not fit either.
        """
        content = request if isinstance(request, str) else orjson.dumps(request).decode()
        messages = [
            {"role": "system", "content": self.system},
            {"role": "user", "content": content},
        ]
        repairs = 0
        while True:
            completion = await self.model.complete(messages, seed=seed, schema=self.schema)
            if bill is not None:
                bill.add(completion, self.model.role.price)
            try:
                return read(parse_object(completion.text, self.schema, self.max_chars))
            except ReplyError as error:
                was_cut = completion.finish_reason == "length"
                fault = ReplyError(CUT, "cut") if was_cut else error
                if repairs == self.repairs:
                    raise fault from None
                repairs += 1
                self.model.usage["repairs"] += 1
                messages += [
                    {"role": "assistant", "content": completion.text},
                    {"role": "user", "content": f"{fault} Answer with the JSON object only."},
                ]
