"""Draws: whether a thing that has a rate happens.

Invariant: a draw is a function of its arguments only, in every process and on every machine.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from searchtrain.core.errors import InputError


def draw_share(rates: Mapping[str, float], kind: str, *parts: Any) -> bool:
    """Decide whether something with a rate happens."""
    rate = rates.get(kind, 0)
    return rate > 0 and hash_parts(kind, *parts) < rate * 2**64


def hash_parts(*parts: Any) -> int:
    """A number below 2**64 that depends on the parts only."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest())


def check_rates(
    rates: Mapping[str, float], defaults: Mapping[str, float], key: str
) -> dict[str, float]:
    """Fill in missing rates; raises InputError, naming `key`, for an unknown kind or a bad rate."""
    for kind, rate in rates.items():
        if kind not in defaults:
            raise InputError(f"{key}: unknown kind {kind!r}; known are {', '.join(defaults)}")
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise InputError(f"{key}.{kind}: {rate!r} is not a share; give 0 to 1")
    return {kind: float(rates.get(kind, default)) for kind, default in defaults.items()}
