"""Passages of the laptop world: the facts of a city or a country, written as text and read back.

Out of passages, and out of text as it comes: web pages, snippets, observations. Invariant:
`read_passage` reads of a passage's text exactly the facts that it was written from.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Facts = Mapping[str, Mapping[str, str]]
"""What passages say, by title."""
Passages = Mapping[str, Sequence[str]]
"""Texts by title."""

CITY_TEXT = "A city in {country} with {population} people."
COUNTRY_TEXT = "A country."
"""How a passage begins."""
VALUES = {
    "time_zone": r"[\w/+-]+",
    "latitude": r"[\d.]+ [NS]",
    "longitude": r"[\d.]+ [EW]",
    "capital": r".+?",
    "currency_code": r"\w+",
    "calling_code": r"[\d-]+",
    "internet_domain": r"\.\w+",
    "continent": r"[A-Z][A-Za-z ]+",
    "borders": r"[A-Z][^.]*",
}
"""What every other fact looks like, in the order in which a passage states them, a city's first."""
ENDS = {
    "capital": r"(?= (?:Currency|Calling|Internet|Continent|Borders) |$)",
    "borders": r"(?= |$)",
}
"""What follows a sentence whose value may hold a full stop, or look like other text."""
SENTENCES = {name: f"{name.replace('_', ' ').capitalize()} {{}}." for name in VALUES}
FACT_NAMES = {name: name.replace("_", " ") for name in ("country", "population", *VALUES)}
FACT_NAMES["borders"] = "neighbours"
"""How one speaks of a fact."""
PATTERNS = {
    name: SENTENCES[name][:-1].format(f"(?P<{name}>{value})") + rf"\.{ENDS.get(name, '')}"
    for name, value in VALUES.items()
}
OPTIONAL = [f"(?: {pattern})?" for pattern in PATTERNS.values()]
CITY_PATTERN = re.compile(
    r"A city in (?P<country>.+?) with (?P<population>[\d,]+) people\." + "".join(OPTIONAL[:3])
)
COUNTRY_PATTERN = re.compile(r"A country\." + "".join(OPTIONAL[3:]))
DOCUMENT = re.compile(
    r"^(?:<information>)?Doc \d+ ?\(Title: (.*?)\) "
    r"(.*(?:\n(?!Doc \d+ ?\(Title: |Query: |</information>).*)*)",
    re.MULTILINE,
)
"""A document of an observation, Search-R1's too; a web page's text has several lines."""
ELLIPSIS = re.compile(r"\.{3}|…")
FRAGMENTS = {name: re.compile(rf"\b{pattern}") for name, pattern in PATTERNS.items()}
"""Facts of a passage whose beginning is missing, as in a search engine's snippet."""
SEPARATOR = ", "
"""Between the neighbours of a country; no country that has any has a comma or full stop in it."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One entity of a world; `facts` are exactly what its text says."""

    id: str
    title: str
    text: str
    links: tuple[str, ...]
    facts: Mapping[str, str] = field(compare=False)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Passage":
        """The passage that a line of a corpus is."""
        title, _, text = str(row["contents"]).partition("\n")
        text = " ".join(text.split())
        links = tuple(map(str, row.get("links") or ()))
        return cls(str(row["id"]), title.strip('"'), text, links, read_passage(text))

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


def read_documents(observations: Sequence[str]) -> dict[str, list[str]]:
    """Texts of the passages shown so far, by title, in the order in which they came.

    A place may come several times: from an engine's own answer, a snippet, a page.
    """
    passages: dict[str, list[str]] = {}
    for observation in observations:
        for title, text in DOCUMENT.findall(observation):
            passages.setdefault(title.strip().strip('"'), []).append(text)
    return passages


@functools.lru_cache(maxsize=16384)
def read_text(text: str) -> tuple[Mapping[str, str], str]:
    """The facts that stand anywhere in a text, and the sentences that state them."""
    text = " ".join(ELLIPSIS.sub(" ", text).split())
    for pattern in (CITY_PATTERN, COUNTRY_PATTERN):
        matches = list(pattern.finditer(text))
        if matches:
            # A snippet that is cut may stand before the whole.
            best = max(matches, key=lambda match: sum(map(bool, match.groups())))
            return {name: value for name, value in best.groupdict().items() if value}, best[0]
    found = {name: match for name, pattern in FRAGMENTS.items() if (match := pattern.search(text))}
    evidence = " ".join(match[0] for match in found.values())
    return {name: match[1] for name, match in found.items()}, evidence


def state_facts(facts: Mapping[str, str]) -> str:
    """The facts of a city or a country as a passage says them."""
    opening = CITY_TEXT.format(**facts) if "population" in facts else COUNTRY_TEXT
    said = [SENTENCES[name].format(value) for name, value in facts.items() if name in SENTENCES]
    return " ".join([opening, *said])


def compile_phrasing(phrasing: str, **values: str) -> re.Pattern[str]:
    """A pattern that reads a phrasing back; `values` are patterns of what its fields hold."""
    pattern = re.escape(phrasing)
    for name, value in values.items():
        pattern = pattern.replace(rf"\{{{name}\}}", f"(?P<{name}>{value})")
    return re.compile(pattern)
