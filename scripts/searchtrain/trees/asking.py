"""Ask a role for one JSON object: what every step of growing and writing has in common.

Unlike `ModelClient.complete_json` an answer is measured before it is parsed, a bad one is not sent
back (the step is tried again with its fault in the request), and each request's price is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from searchtrain.core.errors import ModelError
from searchtrain.models.client import Completion, ModelClient, parse_object

UNUSABLE = frozenset({"not_json", "schema", "too_large"})
"""Kinds of ModelError after which the same model may well do better."""


@dataclass(slots=True)
class Bill:
    """What one tree has cost, in US dollars, as if nothing had been in the cache."""

    dollars: float = 0.0

    def add(self, completion: Completion, price: Mapping[str, float]) -> None:
        """Count one answer; `price`: dollars per million `prompt` and `completion` tokens."""
        self.dollars += completion.prompt_tokens * price.get("prompt", 0) / 1e6
        self.dollars += completion.completion_tokens * price.get("completion", 0) / 1e6


@dataclass(frozen=True, slots=True)
class Asker:
    """A role with its prompt and the form of its answers."""

    client: ModelClient
    system: str
    """Rendered prompt."""
    schema: Mapping[str, Any]
    max_chars: int
    """Longest answer that is looked at."""

    async def ask(self, request: Mapping[str, Any], seed: int, bill: Bill) -> dict[str, Any]:
        """Send `request` as one JSON object and read the object that comes back.

        Raises ModelError of its kinds and `too_large`.
        """
        messages = [
            {"role": "system", "content": self.system},
            {"role": "user", "content": orjson.dumps(request).decode()},
        ]
        completion = await self.client.complete(messages, seed=seed, schema=self.schema)
        bill.add(completion, self.client.role.price)
        return read_answer(completion.text, self.schema, self.max_chars)


def read_answer(text: str, schema: Mapping[str, Any], max_chars: int) -> dict[str, Any]:
    """Parse a model's answer; raises ModelError: `too_large`, `not_json` or `schema`."""
    if len(text) > max_chars:
        raise ModelError(
            f"The answer has {len(text)} characters; at most {max_chars} are read.", "too_large"
        )
    return parse_object(text, schema)
