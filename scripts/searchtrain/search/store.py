"""The passages of an index: found by their place in the corpus, read from the mapped file.

Invariant: place `n` is the corpus' n-th line, whatever engine found it.
"""

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from searchtrain.search import Search
from searchtrain.search.corpus import read_passages
from searchtrain.search.manifest import read_manifest

OFFSETS = "offsets.npy"

Ranking = list[tuple[int, float]]
"""Places in the corpus and scores (higher is better), best first; equal scores by place."""


class PassageIndex(Search):
    """What every engine's index shares: search in this process, which costs nothing."""

    ENGINE = ""
    """The engine's name in manifests."""
    VERSION = ""
    """The version of the engine that reads the folder; indexes of another one are refused."""
    REQUESTS = 1
    """Calls of `rank_all` that may run at once, each in a thread of its own."""
    QUICK = False
    """Whether ranking over few passages is too quick to be worth a thread."""

    def __init__(self, index: Path, corpus: Path) -> None:
        """Open an index; raises InputError when it does not belong to this corpus or engine."""
        self.manifest = read_manifest(index, corpus, self.ENGINE, self.VERSION)
        self._offsets = np.load(index / OFFSETS, mmap_mode="r")
        self._corpus = np.memmap(corpus, mode="r")

    def __len__(self) -> int:
        return int(self.manifest["passages"])

    def rank_all(self, queries: Sequence[str], topk: int) -> list[Ranking]:
        """The best passages of each query; fewer than `topk` if few match."""
        raise NotImplementedError

    def rank(self, query: str, topk: int) -> Ranking:
        """The best passages of one query."""
        return self.rank_all([query], topk)[0]

    def read_line(self, place: int) -> bytes:
        """The JSON text of the passage at a place."""
        start, end = self._offsets[place : place + 2]
        return self._corpus[start:end].tobytes().rstrip()

    async def search(
        self, queries: Sequence[str], topk: int, exclude: Sequence[str] = ()
    ) -> list[list[dict[str, Any]]]:
        """See `Search.search`."""
        return [
            [{**orjson.loads(self.read_line(place)), "score": score} for place, score in ranking]
            for ranking in self.rank_all(queries, topk)
        ]


class Offsets:
    """Collects where the corpus' lines end while its passages are read."""

    def __init__(self) -> None:
        self._ends = array("q", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def read(self, corpus: Path) -> Iterator[dict[str, Any]]:
        """Yield the passages of a corpus; raises InputError as `read_passages` does."""
        for passage, end in read_passages(corpus):
            self._ends.append(end)
            yield passage

    def save(self, index: Path) -> None:
        """Write them into an index."""
        np.save(index / OFFSETS, np.frombuffer(self._ends, dtype=np.int64))
