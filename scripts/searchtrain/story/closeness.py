"""Which of many ids one may have meant.

Invariant: it takes no longer than sorting them.
"""

from bisect import bisect
from collections.abc import Iterable
from difflib import get_close_matches

NEIGHBOURS = 20
"""On each side of where it would stand among the sorted ids, read forwards and backwards."""

LONGEST = 200
"""Characters of an id that is compared; the time that it takes grows with their square."""


def find_closest(key: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The ids most alike, among those that begin or end alike; none of none."""
    ids = list(dict.fromkeys(known))
    near: dict[str, None] = {}
    for step in (1, -1):
        turned = sorted(each[::step] for each in ids)
        place = bisect(turned, key[::step])
        near |= dict.fromkeys(
            each[::step] for each in turned[max(0, place - NEIGHBOURS) : place + NEIGHBOURS]
        )
    return get_close_matches(
        key[:LONGEST], [each for each in near if len(each) < LONGEST], most, 0.0
    )
