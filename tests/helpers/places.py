"""Towns with names, rivers and mayors of their own: passages random vectors tell them apart."""

import json
import random
from pathlib import Path
from typing import NamedTuple

SYLLABLES = ["".join(pair) for pair in zip("bdfgklmnprstvwxyzkm", "aeioua" * 4, strict=False)]


class Place(NamedTuple):
    """One town."""

    name: str
    river: str
    mayor: str


def make_places(count: int) -> list[Place]:
    """So many, always the same."""
    draw, names = random.Random(7), set()
    while len(names) < 3 * count:
        names.add("".join(draw.sample(SYLLABLES, 4)).capitalize())
    ordered = sorted(names)
    draw.shuffle(ordered)
    return [Place(*ordered[3 * n : 3 * n + 3]) for n in range(count)]


PLACES = make_places(60)


def write_places(path: Path) -> Path:
    """A corpus of them, in Search-R1's form."""
    rows = []
    for number, (name, river, mayor) in enumerate(PLACES):
        text = f"{name} is a town on the river {river}. The mayor of {name} is {mayor}."
        rows.append({"id": str(number), "contents": f'"{name}"\n{text}'})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
