"""A BM25 index in a folder: built once from a corpus, then mapped into memory and queried.

Invariant: equal scores come back in corpus order, so a query has one answer, and a large index,
which compiled code scores, gives the answers that a small one would.
"""

import logging
import os
import threading
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bm25s
import numpy as np

from searchtrain import config
from searchtrain.core.errors import InputError
from searchtrain.search.store import Offsets, PassageIndex, Ranking
from searchtrain.search.text import Analyser, make_analyser, split_words

logger = logging.getLogger(__name__)

METHOD = "lucene"
"""Anserini's, as in Search-R1's BM25."""
COMPILE_FROM = 500_000
"""Passages from which numba's seconds of compilation pay for themselves."""


@dataclass
class Documents:
    """The corpus as term numbers, in the form that bm25s indexes: `ids` and `vocab`.

    All in one array: a list of lists would take twice the memory, 11 GB for 21 million passages.
    """

    analyser: Analyser
    vocab: dict[str, int] = field(default_factory=lambda: {"": 0})
    numbers: dict[str, int] = field(default_factory=dict)
    """The number of each word's term, 0 for stop words: each word is stemmed once."""
    terms: "array[int]" = field(default_factory=lambda: array("i"))
    ends: "array[int]" = field(default_factory=lambda: array("q", [0]))

    @property
    def ids(self) -> "Documents":
        """This, as a sequence of arrays of term numbers."""
        return self

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __iter__(self) -> Iterator["array[int]"]:
        return (self.terms[self.ends[n] : self.ends[n + 1]] for n in range(len(self)))

    def add(self, text: str) -> None:
        """Append a passage."""
        numbers, words = self.numbers, split_words(text)
        for word in words:
            if word not in numbers:
                term = self.analyser.reduce(word)
                numbers[word] = self.vocab.setdefault(term, len(self.vocab))
        self.terms.extend([number for word in words if (number := numbers[word])])
        self.ends.append(len(self.terms))


class BM25Index(PassageIndex):
    """A loaded index with its corpus; thread-safe."""

    ENGINE = "bm25s"
    VERSION = bm25s.__version__
    REQUESTS = 8
    QUICK = True

    def __init__(self, index: Path, corpus: Path) -> None:
        """Load an index; raises InputError when it does not belong to this corpus or engine."""
        super().__init__(index, corpus)
        parameters = self.manifest["parameters"]
        self._analyser = make_analyser(parameters["stopwords"], parameters["stemmer"])
        self._stemming = threading.Lock()
        self._model = bm25s.BM25.load(index, mmap=True, show_progress=False)
        self._threads: ThreadPoolExecutor | None = None
        if len(self) >= COMPILE_FROM:
            self._model.backend = "numba"
            self._threads = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
            self._rank_compiled([0], 1)

    def rank_all(self, queries: Sequence[str], topk: int) -> list[Ranking]:
        """See `PassageIndex.rank_all`."""
        if self._threads is None:
            return [self._rank(query, topk) for query in queries]
        return list(self._threads.map(self._rank, queries, [topk] * len(queries)))

    def _rank(self, query: str, topk: int) -> Ranking:
        vocabulary = self._model.vocab_dict
        with self._stemming:
            found = self._analyser.split(query)
        terms = [vocabulary[term] for term in found if term in vocabulary]
        if not terms or topk < 1:
            return []
        ranking = self._rank_compiled(terms, topk) if self._threads else None
        return self._rank_plainly(terms, topk) if ranking is None else ranking

    def _rank_plainly(self, terms: list[int], topk: int) -> Ranking:
        scores = self._model.get_scores_from_ids(terms)
        found = np.flatnonzero(scores)
        if len(found) > topk:
            worst = -np.partition(-scores[found], topk - 1)[topk - 1]
            found = found[scores[found] >= worst]
        order = np.argsort(-scores[found], kind="stable")[:topk]
        return [(int(place), float(scores[place])) for place in found[order]]

    def _rank_compiled(self, terms: list[int], topk: int) -> Ranking | None:
        """The same from bm25s's compiled search, which needs no lock and scans the scores once.

        None when passages that it left out may have the score of the last one: it keeps any.
        """
        count = min(topk + 1, len(self))
        answer = self._model.retrieve([terms], k=count, n_threads=1, show_progress=False)
        places, scores = answer.documents[0], answer.scores[0]
        if len(self) > topk and scores[topk] == scores[topk - 1] > 0:
            return None
        order = np.lexsort((places, -scores))[:topk]
        return [(int(places[n]), float(scores[n])) for n in order if scores[n] > 0]


def build_bm25(corpus: Path, out: Path, settings: config.Index) -> dict[str, Any]:
    """Index a corpus into the folder `out`; returns the manifest's entries of this engine.

    Raises InputError for a bad setting or a bad corpus row.
    """
    documents, offsets = Documents(make_analyser(settings.stopwords, settings.stemmer)), Offsets()
    for passage in offsets.read(corpus):
        documents.add(passage["contents"])
    if len(documents.vocab) == 1:
        raise InputError(f"{corpus}: no passage has a word to index; check stopwords and contents")
    logger.info("indexing %d passages, %d terms", len(documents), len(documents.vocab))
    documents.numbers.clear()
    model = bm25s.BM25(k1=settings.k1, b=settings.b, method=METHOD, backend="numpy")
    if len(documents) >= COMPILE_FROM:
        model.activate_numba_csc()
    model.index(documents, show_progress=False)
    model.save(out, show_progress=False)
    offsets.save(out)
    return {"passages": len(documents), "terms": len(documents.vocab)}
