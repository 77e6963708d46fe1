"""Passages of the laptop world: the facts of a city or a country, written as text and read back.

Invariant: `read_passage` reads of a passage's text exactly the facts that it was written from.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Facts = Mapping[str, Mapping[str, str]]
"""What passages say, by title."""

FACT_NAMES = {
    "country": "country",
    "time_zone": "time zone",
    "population": "population",
    "capital": "capital",
    "currency_code": "currency code",
    "calling_code": "calling code",
    "internet_domain": "internet domain",
    "latitude": "latitude",
    "longitude": "longitude",
    "continent": "continent",
    "borders": "neighbours",
}
"""How one speaks of a fact."""

CITY_TEXT = "A city in {country} with {population} people. Time zone {time_zone}."
CITY_DETAILS = " Latitude {latitude}. Longitude {longitude}."
COUNTRY_TEXT = "A country.{facts}"
COUNTRY_FACTS = {
    "capital": "Capital {}.",
    "currency_code": "Currency code {}.",
    "calling_code": "Calling code {}.",
    "internet_domain": "Internet domain {}.",
    "continent": "Continent {}.",
    "borders": "Borders {}.",
}
CITY_PATTERN = re.compile(
    r"A city in (?P<country>.+?) with (?P<population>[\d,]+) people\."
    r"(?: Time zone (?P<time_zone>[\w/+-]+)\.)?"
    r"(?: Latitude (?P<latitude>[\d.]+ [NS])\.)?(?: Longitude (?P<longitude>[\d.]+ [EW])\.)?"
)
COUNTRY_PATTERN = re.compile(
    r"A country\."
    r"(?: Capital (?P<capital>.+?)\.(?= (?:Currency|Calling|Internet|Continent|Borders) |$))?"
    r"(?: Currency code (?P<currency_code>\w+)\.)?(?: Calling code (?P<calling_code>[\d-]+)\.)?"
    r"(?: Internet domain (?P<internet_domain>\.\w+)\.)?"
    r"(?: Continent (?P<continent>[A-Z][A-Za-z ]+)\.)?(?: Borders (?P<borders>[A-Z][^.]*)\.)?"
)
SEPARATOR = ", "
"""Between the neighbours of a country; no country that has any has a comma or full stop in it."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One entity of the world; `facts` are exactly what its text says."""

    id: str
    title: str
    text: str
    links: tuple[str, ...]
    facts: Mapping[str, str]

    def to_row(self) -> dict[str, Any]:
        """The passage as a line of `passages.jsonl`."""
        contents = f'"{self.title}"\n{self.text}'
        return {"id": self.id, "contents": contents, "links": list(self.links)}


def read_passage(text: str) -> dict[str, str]:
    """Read the facts that a passage's text (without its title) states; empty when it is foreign."""
    for pattern in (CITY_PATTERN, COUNTRY_PATTERN):
        if match := pattern.match(text):
            return {name: value for name, value in match.groupdict().items() if value}
    return {}
