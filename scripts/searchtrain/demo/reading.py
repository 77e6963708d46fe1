"""Facts of the laptop world out of text as it comes: passages, web pages, snippets, observations.

Invariant: every fact stands in the text; what is read of a passage is `passages.read_passage`'s.
"""

import functools
import re
from collections.abc import Mapping, Sequence

from searchtrain.demo.passages import CITY_PATTERN, COUNTRY_PATTERN

Passages = Mapping[str, Sequence[str]]
"""Texts by title."""

DOCUMENT = re.compile(
    r"^Doc \d+ \(Title: (.*?)\) (.*(?:\n(?!Doc \d+ \(Title: |Query: |</information>).*)*)",
    re.MULTILINE,
)
"""A document of an observation; a web page's text has several lines."""
ELLIPSIS = re.compile(r"\.{3}|…")
FRAGMENTS = {
    "time_zone": re.compile(r"\bTime zone ([\w/+-]+)\."),
    "latitude": re.compile(r"\bLatitude ([\d.]+ [NS])\."),
    "longitude": re.compile(r"\bLongitude ([\d.]+ [EW])\."),
    "capital": re.compile(
        r"\bCapital (.+?)\.(?= (?:Currency|Calling|Internet|Continent|Borders) |$)"
    ),
    "currency_code": re.compile(r"\bCurrency code (\w+)\."),
    "calling_code": re.compile(r"\bCalling code ([\d-]+)\."),
    "internet_domain": re.compile(r"\bInternet domain (\.\w+)\."),
    "continent": re.compile(r"\bContinent ([A-Z][A-Za-z ]+)\."),
    "borders": re.compile(r"\bBorders ([A-Z][^.]*)\.(?= |$)"),
}
"""Facts of a passage whose beginning is missing, as in a search engine's snippet."""


def read_documents(observations: Sequence[str]) -> dict[str, list[str]]:
    """Texts of the passages shown so far, by title, in the order in which they came.

    A place may come several times: from an engine's own answer, a snippet, a page.
    """
    passages: dict[str, list[str]] = {}
    for observation in observations:
        for title, text in DOCUMENT.findall(observation):
            passages.setdefault(title.strip().strip('"'), []).append(text)
    return passages


def read_facts(passages: Passages) -> dict[str, dict[str, str]]:
    """What the passages say, by title; of two texts the earlier one counts."""
    facts: dict[str, dict[str, str]] = {}
    for title, texts in passages.items():
        facts[title] = {}
        for text in texts:
            for name, value in read_text(text)[0].items():
                facts[title].setdefault(name, value)
    return facts


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
