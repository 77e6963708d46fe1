"""What all scripted roles are made of: reading a request, drawing by it, and refusing it.

Invariant: a draw is a function of its arguments only, in every process and on every machine.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Step:
    """What the teacher does next: search or answer, and why; `wants` names the fact it answers."""

    think: str
    queries: tuple[str, ...] = ()
    answer: str | None = None
    wants: str = "country"


class Refusal(Exception):
    """The request can not be answered; `status` is the HTTP status to say so with."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def read_request(text: str) -> dict[str, Any]:
    """The JSON object that a user message is; raises Refusal when it is none."""
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"the user message is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise Refusal(400, "the user message is not a JSON object")
    return body


def draw_share(rates: Mapping[str, float], kind: str, *parts: Any) -> bool:
    """Decide whether something with a rate happens: a function of its kind and the parts only."""
    rate = rates.get(kind, 0)
    return rate > 0 and hash_parts(kind, *parts) < rate * 2**64


def hash_parts(*parts: Any) -> int:
    """A number below 2**64 that depends on the parts only."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest())
