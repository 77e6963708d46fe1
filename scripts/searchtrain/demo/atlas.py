"""The atlas: every passage of a corpus as one place of the laptop's own web, with its address.

Invariant: whether a place is a PDF depends on its id and the rates only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import orjson

from searchtrain.demo.draws import draw_share

HOST = "atlas.test"
"""The web's only host; .test is reserved and never resolves (RFC 2606)."""


@dataclass(frozen=True, slots=True)
class Place:
    """One passage as the web knows it."""

    id: str
    title: str
    text: str
    links: tuple[str, ...]


class Atlas:
    """All places, and what the rates make of them."""

    def __init__(self, lines: Iterable[bytes], rates: Mapping[str, float]) -> None:
        """Read every passage; a corpus of millions of passages is not for this server."""
        self.rates = rates
        self.places = [_read_place(line) for line in lines]
        self._by_id = {place.id: place for place in self.places}

    def find_place(self, name: str) -> Place | None:
        """The place with this id."""
        return self._by_id.get(name)

    def find_links(self, place: Place) -> list[Place]:
        """The places that a place links to, as far as they have a page."""
        return [self._by_id[name] for name in place.links if name in self._by_id]

    def is_pdf(self, place: Place) -> bool:
        """Whether a place exists as PDF only."""
        return draw_share(self.rates, "pdf", place.id)

    def locate(self, place: Place) -> str:
        """The address of a place's page."""
        return write_address("place", place.id, ".pdf" if self.is_pdf(place) else "")


def write_address(kind: str, name: str, ending: str = "") -> str:
    """The address of a page of some kind on a place."""
    return f"http://{HOST}/{kind}/{quote(name, safe='')}{ending}"


def _read_place(line: bytes) -> Place:
    passage = orjson.loads(line)
    title, _, text = str(passage["contents"]).partition("\n")
    links = tuple(map(str, passage.get("links") or ()))
    return Place(str(passage["id"]), title.strip('"'), " ".join(text.split()), links)
