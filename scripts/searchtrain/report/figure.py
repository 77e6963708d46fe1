"""What a report is made of: topics of figures, each with the sentence that says what one sees.

Invariant: a sentence's numbers are computed from what the figure shows; texts are plain and become
HTML in `page` alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from searchtrain.core.terminal import show_text

Chart = Mapping[str, Any]
"""A Vega-Lite specification."""
LONGEST = 60
"""Characters of a label."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts; the columns after `names` are numbers and stand to the right."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing to see: charts, each with its title, side by side if there is room; or a table."""

    title: str
    said: str
    """One or two sentences: what one sees, with the number that matters."""
    charts: Sequence[tuple[str, Chart]] = ()
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Topic:
    """Figures that belong together; `name` is its file's."""

    name: str
    title: str
    figures: Sequence[Figure]


def shorten(text: str, most: int = LONGEST) -> str:
    """One line of characters that can be seen."""
    line = " ".join(show_text(text[: 10 * most]).split()) or "(empty)"
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def name_labels(labels: Sequence[str]) -> list[str]:
    """Short labels that still differ where the labels do."""
    seen: dict[str, int] = {}
    named = []
    for label in map(shorten, labels):
        seen[label] = seen.get(label, 0) + 1
        named.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return named


def format_count(number: float, noun: str = "") -> str:
    """`1,234`, with a noun `1,234 rollouts`; the noun is given in the plural, and ends with s."""
    if not noun:
        return f"{number:,}"
    return f"{number:,} {noun.removesuffix('s') if number == 1 else noun}"


def format_share(part: float, whole: float) -> str:
    """`12.3 %`; of nothing it is none."""
    share = 100 * part / whole if whole else 0.0
    if not share:
        return "0 %"
    return f"{share:.1f} %" if 0.05 <= share <= 99.95 or share == 100 else f"{share:.2f} %"


def format_percent(share: float) -> str:
    """A share as per cent, with one decimal."""
    return f"{100 * share:.1f} %"


def format_time(hours: float) -> str:
    """`3.2 h`, `4 min 10 s`, `12 s`."""
    seconds = round(3600 * hours)
    if seconds >= 7200:
        return f"{hours:.1f} h"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
