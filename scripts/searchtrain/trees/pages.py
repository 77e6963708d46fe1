"""Pages of the corpus by id: text, title and links, read from disk on demand.

Only a 64-bit digest of each id and the place of its line are kept in memory (336 MB for
21 million passages). Invariant: every link of a page leads to a page; those that do not are left
out and counted.
"""

from array import array
from collections.abc import Collection
from dataclasses import dataclass
from itertools import filterfalse, islice
from pathlib import Path

import numpy as np
import orjson

from searchtrain.core.errors import InputError
from searchtrain.search.contents import split_contents
from searchtrain.search.corpus import read_passages, shorten


@dataclass(frozen=True, slots=True)
class Page:
    """A passage as a page."""

    id: str
    title: str
    text: str
    links: tuple[str, ...] = ()
    """Ids of other pages, each once, in the passage's order."""
    broken: tuple[str, ...] = ()
    """Links that lead nowhere."""
    aliases: tuple[str, ...] = ()
    """Other names of what the page is about."""


class PageStore:
    """The pages of a corpus in the form of `corpus.build_corpus`."""

    def __init__(self, corpus: Path) -> None:
        """Read the corpus once; raises InputError when it has no links, or is no corpus."""
        digests, starts = array("q"), array("q")
        linked, begin = False, 0
        for passage, end in read_passages(corpus):
            digests.append(shorten(passage["id"]))
            starts.append(begin)
            begin = end
            linked = linked or bool(passage.get("links"))
        if not linked:
            raise InputError(
                f"{corpus}: no passage has links, and research trees grow along them; give"
                ' passages with "links": [ids of other passages] or set trees.enabled: false'
            )
        self._starts = np.frombuffer(starts, dtype=np.int64)
        keys = np.frombuffer(digests, dtype=np.int64)
        self._places = np.argsort(keys, kind="stable")
        self._keys = keys[self._places]
        self._end = begin
        self._corpus = np.memmap(corpus, mode="r")
        self._broken: set[tuple[str, str]] = set()

    def __len__(self) -> int:
        return len(self._starts)

    def __contains__(self, name: str) -> bool:
        return self._locate(name) is not None

    def __getitem__(self, name: str) -> Page:
        page = self.read(name)
        assert page is not None  # nodes and links lead to pages of the corpus only
        return page

    @property
    def broken_links(self) -> int:
        """Links met so far that lead nowhere."""
        return len(self._broken)

    def read(self, name: str) -> Page | None:
        """The page with this id, or None."""
        place = self._locate(name)
        return None if place is None else self.read_at(place)

    def read_at(self, place: int) -> Page:
        """The page at a corpus position, from 0."""
        start = self._starts[place]
        end = self._starts[place + 1] if place + 1 < len(self) else self._end
        row = orjson.loads(self._corpus[start:end].tobytes())
        title, text = split_contents(row)
        wanted = [name for name in dict.fromkeys(row.get("links") or ()) if name != row["id"]]
        broken = tuple(name for name in wanted if name not in self)
        self._broken.update((row["id"], name) for name in broken)
        aliases = row.get("aliases")
        return Page(
            id=row["id"],
            title=title,
            text=text,
            links=tuple(name for name in wanted if name not in broken),
            broken=broken,
            aliases=tuple(map(str, aliases)) if isinstance(aliases, list) else (),
        )

    def list_links(self, page: Page, without: Collection[str], most: int) -> list[Page]:
        """Where the first `most` links of a page lead that do not lead to pages in `without`."""
        return [self[name] for name in islice(filterfalse(without.__contains__, page.links), most)]

    def _locate(self, name: str) -> int | None:
        key = shorten(name)
        found = int(np.searchsorted(self._keys, key))
        if found == len(self._keys) or self._keys[found] != key:
            return None
        return int(self._places[found])
