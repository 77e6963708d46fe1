"""A step of the scripted teacher, and what it guesses where it cannot know.

Invariant: a guess is a function of the question, the seed and the fact wanted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from searchtrain.demo.draws import hash_parts

Searches = Sequence[tuple[str, ...]]
"""The queries of every searching turn so far."""


GUESSES = {
    "country": ("France", "Brazil", "Japan", "Kenya"),
    "name": ("France", "Brazil", "Japan", "Kenya"),
    "time_zone": ("Europe/Paris", "Asia/Tokyo", "America/Lima", "Africa/Nairobi"),
    "population": ("100,000", "250,000", "1,000,000", "12,000"),
    "capital": ("Paris", "Lima", "Tokyo", "Nairobi"),
    "currency_code": ("EUR", "USD", "JPY", "KES"),
    "calling_code": ("33", "55", "81", "254"),
    "internet_domain": (".fr", ".br", ".jp", ".ke"),
    "city": ("Lyon", "Salvador", "Osaka", "Mombasa"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """What the teacher does next: search or answer, and why; `wants` names the fact it answers."""

    think: str
    queries: tuple[str, ...] = ()
    answer: str | None = None
    wants: str = "country"


def guess(wants: str, question: str, seed: int) -> str:
    """Some value of a fact."""
    options = GUESSES[wants]
    return options[hash_parts("guess", question, seed) % len(options)]
