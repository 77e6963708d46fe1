"""The laptop's own search engine, with serper.dev's contract, over the atlas.

Some hits are traps (`TRAPS`): a page that is missing, huge, slow, in circles, inside a private
network or forbidden by robots.txt. Invariant: an answer is a function of the request and the rates.
"""

import itertools
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from searchtrain.demo.atlas import Atlas, write_address
from searchtrain.demo.draws import draw_share, hash_parts
from searchtrain.demo.passages import FACT_NAMES, Passage
from searchtrain.demo.requests import Refusal, read_object
from searchtrain.search.bm25 import BM25Index

TRAPS = ("missing", "large", "slow", "loop", "inside", "private")
TRAP_RANKS = 3
DEFAULT_RESULTS = 10
MAX_RESULTS = 100
MAX_PAGE = 100
SPARE = 100
"""Hits looked at beyond those asked for when a query excludes some."""
MATCH = 0.5
"""Of the best hit's score: less is no match."""
EXCLUDED = re.compile(r"(?<!\S)-site:(\S+)")
SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z])")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Engine:
    """The index that finds places, and what the rates make of its hits."""

    def __init__(self, index: BM25Index, atlas: Atlas) -> None:
        self._index = index
        self._atlas = atlas

    def search(self, query: str, count: int, skip: int = 0) -> dict[str, Any]:
        """Serper's response: `count` hits after the first `skip`, and what else an engine shows.

        `query` may hold `-site:host` and `-site:host/path`.
        """
        excluded = EXCLUDED.findall(query)
        words = " ".join(EXCLUDED.sub(" ", query).split())
        found = self._find_places(words, skip + count + (SPARE if excluded else 0))
        rows = [self._make_hit(place) for place in found]
        if found and draw_share(self._atlas.rates, "traps", found[0].id):
            self._set_trap(found, rows)
        shown = [
            pair
            for pair in zip(found, rows, strict=True)
            if not _is_excluded(pair[1]["link"], excluded)
        ][skip : skip + count]
        organic = [{**row, "position": rank} for rank, (_, row) in enumerate(shown, skip + 1)]
        return {**self._make_extras(words, [place for place, _ in shown]), "organic": organic}

    def _find_places(self, words: str, count: int) -> list[Passage]:
        """The places that the query names, or else those that match it; then their neighbours.

        Engines weigh titles above all and fill a page with what is related. A word that half of the
        corpus has ("city") makes everything match a little: that is no match.
        """
        ranked = self._index.rank(words, count)
        if not ranked:
            return []
        places, highest = self._atlas.places, ranked[0][1]
        matches = [number for number, score in ranked if score >= MATCH * highest]
        best = [number for number in matches if _names(words, places[number])] or matches
        size = len(places)
        near = ((best[0] + step) % size for step in range(1, size))
        chosen = itertools.islice(dict.fromkeys([*best, *near]), count)
        return [places[number] for number in chosen]

    def _make_hit(self, place: Passage) -> dict[str, Any]:
        link = self._atlas.locate(place)
        if draw_share(self._atlas.rates, "moved", place.id):
            link = write_address("moved", place.id)
        hit: dict[str, Any] = {"title": place.title, "link": link, "snippet": _cut_snippet(place)}
        number = hash_parts("date", place.id)
        if number % 3 == 0:
            hit["date"] = f"{MONTHS[number % 12]} {number % 28 + 1}, {2015 + number % 10}"
        if number % 7 == 0 and (linked := self._atlas.find_links(place)):
            hit["sitelinks"] = [self._name_source(other) for other in linked]
        return hit

    def _set_trap(self, found: Sequence[Passage], rows: Sequence[dict[str, Any]]) -> None:
        """Lead one of the first hits astray; its snippet tells all that its page would.

        The best hit decides, so that the same question in other words meets the same trap.
        """
        number = hash_parts("trap", found[0].id)
        rank = number % min(TRAP_RANKS, len(rows))
        kind = TRAPS[number // TRAP_RANKS % len(TRAPS)]
        place = found[rank]
        rows[rank]["link"] = write_address(kind, place.id)
        rows[rank]["snippet"] = place.text

    def _make_extras(self, words: str, shown: Sequence[Passage]) -> dict[str, Any]:
        """Knowledge graph, answer box and questions that people also ask."""
        extras: dict[str, Any] = {}
        named = [place for place in shown if place.title.lower() == words.lower()]
        if named:
            extras["knowledgeGraph"] = self._describe(named[0])
        if shown and _names(words, shown[0]):
            first = shown[0]
            source = self._name_source(first)
            if draw_share(self._atlas.rates, "answer_box", first.id):
                extras["answerBox"] = {"snippet": first.text, **source}
            question = {"question": f"What is known about {first.title}?"}
            extras["peopleAlsoAsk"] = [{**question, "snippet": _cut_snippet(first), **source}]
        return extras

    def _describe(self, place: Passage) -> dict[str, Any]:
        facts = place.facts
        return {
            "title": place.title,
            "type": "City" if "population" in facts else "Country" if facts else "Topic",
            "description": place.text,
            "descriptionSource": "Atlas",
            "descriptionLink": self._atlas.locate(place),
            "attributes": {FACT_NAMES[name].capitalize(): value for name, value in facts.items()},
        }

    def _name_source(self, place: Passage) -> dict[str, str]:
        return {"title": place.title, "link": self._atlas.locate(place)}


def parse_search(content: bytes) -> tuple[dict[str, Any], int, int]:
    """A search request, its `num` and its `page`; raises Refusal naming the field."""
    body = read_object(content, "the body")
    if not isinstance(body.get("q"), str) or not body["q"].strip():
        raise Refusal("Missing query parameter: send q, a text that is not empty")
    num, page = body.get("num") or DEFAULT_RESULTS, body.get("page") or 1
    for name, number, most in (("num", num, MAX_RESULTS), ("page", page, MAX_PAGE)):
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= most:
            raise Refusal(f"{name} must be an integer from 1 to {most}, got {number!r}")
    return body, num, page


def _cut_snippet(place: Passage) -> str:
    """What an engine shows of a page: all of it if it is short, its beginning, or its end."""
    sentences = SENTENCE_END.split(place.text)
    kept, shape = 2 if len(sentences) > 2 else 1, hash_parts("snippet", place.id) % 3
    if len(sentences) == 1 or (len(sentences) == 2 and shape == 0):
        return place.text
    if shape == 1:
        return "... " + " ".join(sentences[-kept:])
    return " ".join(sentences[:kept]) + " ..."


def _names(words: str, place: Passage) -> bool:
    """Whether a query holds a place's title, word for word."""
    return f" {place.title.lower()} " in f" {words.lower()} "


def _is_excluded(link: str, excluded: Sequence[str]) -> bool:
    parts = urlsplit(link)
    return any(
        f".{parts.netloc}".endswith(f".{host}") and parts.path.lower().startswith(slash + path)
        for host, slash, path in (site.lower().partition("/") for site in excluded)
    )
