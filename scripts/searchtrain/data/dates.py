"""Dates as texts write them: 12 March 1987, March 12th, 1987, 1987-03-12, 13/03/1987, March 1987.

Invariant: a date that may be read in two ways (03/04/1987) is read in neither.
"""

import re
from datetime import date
from typing import NamedTuple

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan", "february feb", "march mar", "april apr", "may", "june jun",
            "july jul", "august aug", "september sept sep", "october oct", "november nov",
            "december dec",
        ),
        1,
    )
    for name in names.split()
}  # fmt: skip
_MONTH = rf"(?:{'|'.join(MONTHS)})\b\.?"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,? (?:the )?)?"
PATTERNS = tuple(
    re.compile(rf"(?<![\w/.-]){_WEEKDAY}{pattern}(?![\w/]|[.,-]\d)")
    for pattern in (
        rf"(?P<day>{_DAY}) (?:of )?(?P<month>{_MONTH}),? (?P<year>\d{{4}})",
        rf"(?P<month>{_MONTH}) (?P<day>{_DAY}),? (?P<year>\d{{4}})",
        r"(?P<year>\d{4})[-/](?P<month>\d{1,2})[-/](?P<day>\d{1,2})",
        r"(?P<one>\d{1,2})(?P<mark>[-/.])(?P<other>\d{1,2})(?P=mark)(?P<year>\d{4})",
        rf"(?P<month>{_MONTH}),? (?:of )?(?P<year>\d{{4}})",
        rf"(?P<day>{_DAY}) (?:of )?(?P<month>{_MONTH})(?!,? \d)",
        rf"(?P<month>{_MONTH}) (?P<day>{_DAY})(?!,? \d)",
    )
)


class Date(NamedTuple):
    """A day of a year, a month of a year (no `day`), or a day of every year (no `year`)."""

    year: int | None
    month: int
    day: int | None


def read_date(text: str) -> Date | None:
    """The date that the whole text is, tidied by `quantities.tidy_text`; None if it is not one."""
    for pattern in PATTERNS:
        found = pattern.fullmatch(text.rstrip("."))
        if found:
            return _make_date(found)
    return None


def find_dates(text: str) -> list[tuple[int, int, Date]]:
    """Each date in a tidied text, with the places where it begins and ends."""
    dates: list[tuple[int, int, Date]] = []
    for pattern in PATTERNS:
        for match in pattern.finditer(text):
            start, end = match.span()
            found = _make_date(match)
            if found and not any(start < last and first < end for first, last, _ in dates):
                dates.append((start, end, found))
    return sorted(dates)


def _make_date(match: re.Match[str]) -> Date | None:
    parts = match.groupdict()
    year = int(parts["year"]) if parts.get("year") else None
    day: int | None
    if parts.get("one"):
        one, other = int(parts["one"]), int(parts["other"])
        if one <= 12 and other <= 12 and one != other:
            return None
        day, month = max(one, other), min(one, other)
    else:
        name = parts["month"].rstrip(".")
        month = int(name) if name.isdigit() else MONTHS[name]
        day = int(re.sub(r"\D", "", parts["day"])) if parts.get("day") else None
    try:
        date(year or 2000, month, day or 1)
    except ValueError:
        return None
    return Date(year, month, day)
