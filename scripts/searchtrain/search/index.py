"""An index of a corpus in a folder, whatever engine made it.

Invariant: the folder is replaced only once the new index is complete, and its manifest says which
engine opens it.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from searchtrain import config
from searchtrain.core.files import hash_file, link_tree
from searchtrain.search.bm25 import BM25Index, build_bm25
from searchtrain.search.manifest import load_manifest, write_manifest
from searchtrain.search.store import PassageIndex


def build_index(
    corpus: Path, out: Path, settings: config.Index, *,
    embedder: config.Embedder | None = None, partial: Path | None = None,
    model: Path | None = None, gpus: int = 0, source: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Index a corpus into the folder `out`, replacing it only once the new one is complete.

    dense and hybrid also take how the encoder is used, its folder `model`, how many GPUs encode,
    and the folder `partial` that keeps what an interrupted build has encoded; or `source`, a FAISS
    index of another's making in place of encoding. Returns the manifest.
    Raises InputError for a bad setting, encoder or corpus row.
    """
    mtime_ns, hybrid = corpus.stat().st_mtime_ns, settings.engine == "hybrid"
    about = {"corpus_sha256": hash_file(corpus), "corpus_bytes": corpus.stat().st_size}

    def describe(kind: type[PassageIndex], folder: Path, found: dict[str, Any]) -> None:
        engine = {"engine": kind.ENGINE, "version": kind.VERSION}
        write_manifest(folder, {**engine, **about, **found}, mtime_ns)

    fresh = out.with_name(f".{out.name}.{os.getpid()}.partial")
    partial = partial or fresh.with_suffix(".vectors")
    try:
        if settings.engine != "bm25":
            from searchtrain.search.dense import DenseIndex, build_dense, take_dense

            embedder = embedder or config.Embedder()
            folder, sha256 = fresh / "dense" if hybrid else fresh, str(about["corpus_sha256"])
            if source:
                found = take_dense(corpus, source, folder, model, embedder)
            else:
                found = build_dense(corpus, sha256, folder, partial, model, embedder, gpus)
            describe(DenseIndex, folder, found)
            if source:
                # That it belongs to this corpus and encoder is told by asking it.
                DenseIndex(folder, corpus, model)
        if settings.engine != "dense":
            folder = fresh / "bm25" if hybrid else fresh
            found = build_bm25(corpus, folder, settings)
            found["parameters"] = settings.model_dump(
                exclude={"engine", "faiss", "faiss_parameters"}
            )
            describe(BM25Index, folder, found)
        if hybrid:
            from searchtrain.search.hybrid import HybridIndex
            from searchtrain.search.store import OFFSETS

            link_tree(folder / OFFSETS, fresh / OFFSETS)
            describe(HybridIndex, fresh, {"passages": found["passages"]})
        manifest = load_manifest(fresh)
        shutil.rmtree(out, ignore_errors=True)
        fresh.rename(out)
        shutil.rmtree(partial, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return manifest


def open_index(
    index: Path, corpus: Path, *,
    model: Path | None = None, gpus: int = 0, fusion: config.Fusion | None = None,
    parameters: str = "",
) -> PassageIndex:  # fmt: skip
    """Open an index with the engine that built it.

    dense and hybrid also take the encoder's folder `model`, how many GPUs hold the vectors, and
    hybrid `fusion`; `parameters`: how FAISS searches an approximate index of another's making.
    Raises InputError when the index does not belong to this corpus, encoder or engine's version.
    """
    engine = load_manifest(index).get("engine")
    if engine == "dense":
        from searchtrain.search.dense import DenseIndex

        return DenseIndex(index, corpus, model, gpus, parameters)
    if engine == "hybrid":
        from searchtrain.search.hybrid import HybridIndex

        return HybridIndex(index, corpus, model, gpus, fusion, parameters)
    return BM25Index(index, corpus)
