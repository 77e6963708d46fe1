"""A BM25 index in a folder: built once from a corpus, then mapped into memory and queried.

Invariant: an index answers only for the corpus and the bm25s version that it was built with, and
equal scores come back in corpus order, so a query has one answer.
"""

import dataclasses
import logging
import os
import shutil
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import orjson

from searchtrain.corpus import read_passages
from searchtrain.errors import InputError
from searchtrain.files import hash_file, read_json, write_json
from searchtrain.search.text import make_analyser

logger = logging.getLogger(__name__)

ENGINE = "bm25s"
MANIFEST = "manifest.json"
OFFSETS = "offsets.npy"
METHODS = ("lucene", "robertson", "atire")
COMPILE_FROM = 500_000
"""Passages from which numba's seconds of compilation pay for themselves."""


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """How an index is built; k1 and b are Anserini's for passages, as in Search-R1's BM25."""

    engine: str = "bm25"
    method: str = "lucene"
    k1: float = 0.9
    b: float = 0.4
    stopwords: str | list | None = "english"
    """`english`, a list of words, or None."""
    stemmer: str | None = "english"
    """A Snowball language, or None."""


class BM25Index:
    """A loaded index with its corpus; implements `Search` in this process."""

    def __init__(self, index: Path, corpus: Path) -> None:
        """Load an index; raises InputError when it does not belong to this corpus or engine."""
        self.manifest = read_manifest(index, corpus)
        parameters = self.manifest["parameters"]
        self._analyser = make_analyser(parameters["stopwords"], parameters["stemmer"])
        self._model = bm25s.BM25.load(index, mmap=True, show_progress=False)
        if len(self) >= COMPILE_FROM:
            self._model.compile(warmup=True)
        self._offsets = np.load(index / OFFSETS, mmap_mode="r")
        self._corpus = np.memmap(corpus, mode="r")

    def __len__(self) -> int:
        return int(self.manifest["passages"])

    def rank(self, query: str, topk: int) -> list[tuple[int, float]]:
        """The corpus positions and scores of the best passages; fewer than `topk` if few match."""
        vocabulary = self._model.vocab_dict
        terms = [vocabulary[term] for term in self._analyser.split(query) if term in vocabulary]
        if not terms or topk < 1:
            return []
        scores = self._model.get_scores_from_ids(terms)
        found = np.flatnonzero(scores)
        if len(found) > topk:
            worst = -np.partition(-scores[found], topk - 1)[topk - 1]
            found = found[scores[found] >= worst]
        order = np.argsort(-scores[found], kind="stable")[:topk]
        return [(int(place), float(scores[place])) for place in found[order]]

    def read_line(self, place: int) -> bytes:
        """The JSON text of the passage at a corpus position."""
        start, end = self._offsets[place : place + 2]
        return self._corpus[start:end].tobytes().rstrip()

    async def search(
        self, queries: Sequence[str], topk: int, exclude: Sequence[str] = ()
    ) -> list[list[dict[str, Any]]]:
        """See `Search.search`."""
        return [
            [
                {**orjson.loads(self.read_line(place)), "score": score}
                for place, score in self.rank(query, topk)
            ]
            for query in queries
        ]

    def stop(self) -> None:
        """See `Search.stop`; passages of one's own index cost nothing."""

    def report(self) -> dict[str, Any]:
        """See `Search.report`."""
        return {}

    async def close(self) -> None:
        """Nothing is held that the garbage collector does not give back."""


def build_index(corpus: Path, out: Path, settings: IndexSettings) -> dict[str, Any]:
    """Index a corpus into the folder `out`, replacing it only once the new one is complete.

    Returns the manifest. Raises InputError for a bad setting or a bad corpus row.
    """
    check_settings(settings)
    analyser = make_analyser(settings.stopwords, settings.stemmer)
    vocabulary: dict[str, int] = {"": 0}
    documents: list[array] = []
    offsets = array("q", [0])
    for passage, end in read_passages(corpus):
        terms = analyser.split(passage["contents"])
        documents.append(array("l", [vocabulary.setdefault(t, len(vocabulary)) for t in terms]))
        offsets.append(end)
    if len(vocabulary) == 1:
        raise InputError(f"{corpus}: no passage has a word to index; check stopwords and contents")
    logger.info("indexing %d passages, %d terms", len(documents), len(vocabulary))
    model = bm25s.BM25(k1=settings.k1, b=settings.b, method=settings.method, backend="numpy")
    model.index((documents, vocabulary), show_progress=False)
    manifest = {
        "engine": ENGINE,
        "version": bm25s.__version__,
        "corpus_sha256": hash_file(corpus),
        "passages": len(documents),
        "terms": len(vocabulary),
        "parameters": dataclasses.asdict(settings),
    }
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        model.save(partial, show_progress=False)
        np.save(partial / OFFSETS, np.frombuffer(offsets, dtype=np.int64))
        write_json(manifest, partial / MANIFEST)
        shutil.rmtree(out, ignore_errors=True)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def check_settings(settings: IndexSettings) -> None:
    """Raise InputError for a value that no index can be built with."""
    if settings.engine != "bm25":
        raise InputError(f"index.engine: {settings.engine!r} is not known; use 'bm25'")
    if settings.method not in METHODS:
        raise InputError(
            f"index.method: {settings.method!r} is not known; use one of {', '.join(METHODS)}"
        )
    for name, value, highest in (("k1", settings.k1, 100), ("b", settings.b, 1)):
        if not 0 <= value <= highest:
            raise InputError(f"index.{name}: {value!r} is out of range; use 0 to {highest}")


def read_manifest(index: Path, corpus: Path) -> dict[str, Any]:
    """Read an index's manifest and check that this program and corpus can use it."""
    remedy = "rebuild it with `snakemake --forcerun index`"
    if not corpus.is_file():
        raise InputError(
            f"{corpus}: no such file; the index {index} needs the corpus it was built from"
        )
    path = index / MANIFEST
    if not path.is_file():
        raise InputError(f"{index}: not an index ({MANIFEST} is missing); {remedy}")
    manifest = read_json(path)
    for key, expected in (("engine", ENGINE), ("version", bm25s.__version__)):
        if manifest.get(key) != expected:
            raise InputError(
                f"{path}: built with {key} {manifest.get(key)!r}, this is {expected!r}; {remedy}"
            )
    if manifest.get("corpus_sha256") != hash_file(corpus):
        raise InputError(f"{path}: built from another corpus than {corpus}; {remedy}")
    return manifest
