"""An index of a corpus in a folder, whatever engine made it.

Invariant: the folder is replaced only once the new index is complete, and its manifest says which
engine opens it.
"""

import os
import shutil
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from searchtrain.config.settings import parse_settings
from searchtrain.core.errors import InputError
from searchtrain.core.files import link_tree
from searchtrain.search.bm25 import BM25Index, BM25Settings, build_bm25
from searchtrain.search.bm25 import check_settings as check_bm25
from searchtrain.search.manifest import describe_corpus, load_manifest, write_manifest
from searchtrain.search.store import PassageIndex

ENGINES = ("bm25", "dense", "hybrid")


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """How an index is built; for what BM25 takes see `BM25Settings`."""

    engine: str = "bm25"
    """`bm25`, `dense` (vectors of an encoder), or `hybrid` (both)."""
    method: str = "lucene"
    k1: float = 0.9
    b: float = 0.4
    stopwords: str | list[str] | None = "english_plus"
    stemmer: str | None = "english"
    embedder: dict[str, Any] = field(default_factory=dict)
    """dense and hybrid: see `EmbedderSettings`."""


def build_index(
    corpus: Path, out: Path, settings: IndexSettings, *,
    partial: Path | None = None, model: Path | None = None, gpus: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Index a corpus into the folder `out`, replacing it only once the new one is complete.

    dense and hybrid also take the encoder's folder `model`, how many GPUs encode, and the folder
    `partial` that keeps what an interrupted build has encoded. Returns the manifest. Raises
    InputError for a bad setting, encoder or corpus row.
    """
    if settings.engine not in ENGINES:
        raise InputError(
            f"index.engine: {settings.engine!r} is not known; use one of {', '.join(ENGINES)}"
        )
    lexical = BM25Settings(**{f.name: getattr(settings, f.name) for f in fields(BM25Settings)})
    check_bm25(lexical)
    mtime_ns, hybrid = corpus.stat().st_mtime_ns, settings.engine == "hybrid"
    about = describe_corpus(corpus)
    fresh = out.with_name(f".{out.name}.{os.getpid()}.partial")
    partial = partial or fresh.with_suffix(".vectors")
    try:
        if settings.engine != "bm25":
            from searchtrain.search.dense import DenseIndex, EmbedderSettings, build_dense

            embedder = parse_settings(EmbedderSettings, settings.embedder, "index.embedder")
            folder, sha256 = fresh / "dense" if hybrid else fresh, about["corpus_sha256"]
            found = build_dense(corpus, sha256, folder, partial, model, embedder, gpus)
            write_manifest(folder, {**DenseIndex.describe(), **about, **found}, mtime_ns)
        if settings.engine != "dense":
            folder = fresh / "bm25" if hybrid else fresh
            found = build_bm25(corpus, folder, lexical)
            entries = {**BM25Index.describe(), **about, **found, "parameters": asdict(lexical)}
            write_manifest(folder, entries, mtime_ns)
        if hybrid:
            from searchtrain.search.hybrid import HybridIndex
            from searchtrain.search.store import OFFSETS

            link_tree(folder / OFFSETS, fresh / OFFSETS)
            entries = {**HybridIndex.describe(), **about, "passages": found["passages"]}
            write_manifest(fresh, entries, mtime_ns)
        manifest = load_manifest(fresh)
        shutil.rmtree(out, ignore_errors=True)
        fresh.rename(out)
        shutil.rmtree(partial, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return manifest


def open_index(
    index: Path, corpus: Path, *,
    model: Path | None = None, gpus: int = 0, fusion: dict[str, Any] | None = None,
) -> PassageIndex:  # fmt: skip
    """Open an index with the engine that built it.

    dense and hybrid also take the encoder's folder `model`, how many GPUs hold the vectors, and
    hybrid the values of `FusionSettings`. Raises InputError when the index does not belong to this
    corpus, encoder or engine's version.
    """
    engine = load_manifest(index).get("engine")
    if engine == "dense":
        from searchtrain.search.dense import DenseIndex

        return DenseIndex(index, corpus, model, gpus)
    if engine == "hybrid":
        from searchtrain.search.hybrid import FusionSettings, HybridIndex

        settings = parse_settings(FusionSettings, fusion or {}, "retriever.fusion")
        return HybridIndex(index, corpus, model, gpus, settings)
    return BM25Index(index, corpus)
