"""A FAISS index of another's making, as Search-R1's `e5_Flat.index`: read as it is.

Invariant: its rows are the corpus' rows, in their order; how many there are is checked here, and
that they hold these passages by whoever has the encoder (`dense.DenseIndex`). Vectors of length 1
that are stored whole become the files of `vectors`, which search them exactly, on GPUs as well;
whatever else FAISS can read (HNSW, IVF, quantised) FAISS searches.
"""

import logging
import os
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from searchtrain.core.errors import InputError
from searchtrain.core.files import hash_file, link_tree

logger = logging.getLogger(__name__)

FILE = "faiss.index"
WHOLE = (faiss.IndexFlat, faiss.IndexScalarQuantizer)
"""Kinds that are a table of vectors and nothing else."""
NUMBERED = (faiss.IndexIDMap, faiss.IndexIDMap2)
ROWS = 1 << 18
"""Vectors in a file: 400 MB of E5-base's."""
LENGTH = 0.01
"""Greatest difference of a vector's length from 1."""
NEIGHBOURS = 10
"""Among so many a passage must find itself."""


def read_faiss(file: Path) -> faiss.Index:
    """Read an index, mapped into memory where FAISS can; raises InputError when it is none."""
    if not file.is_file():
        raise InputError(f"{file}: no such file; check retriever.index.faiss")
    try:
        index = faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        said = " ".join(str(error).split()).rpartition("Error: ")[2]
        raise InputError(
            f"{file}: no index that FAISS {faiss.__version__} can read ({said[:120]}); fetch it"
            " again, whole, or build it anew"
        ) from None
    if isinstance(index, NUMBERED):
        numbers = faiss.vector_to_array(index.id_map)
        if not np.array_equal(numbers, np.arange(index.ntotal)):
            raise InputError(
                f"{file}: it numbers its vectors itself, beginning with {numbers[:3].tolist()};"
                " give an index whose vector n is line n of the corpus, from 0 on"
            )
    return index


def unwrap(index: faiss.Index) -> faiss.Index:
    """The index under the numbers that it may give its vectors, which are the rows' own."""
    return faiss.downcast_index(index.index) if isinstance(index, NUMBERED) else index


def take_vectors(file: Path, corpus: Path, passages: int, out: Path) -> dict[str, Any]:
    """Bring the index `file` of a corpus with so many passages into the folder `out`.

    Returns the manifest's entries: what file it was, and how wide its vectors are. Raises
    InputError when it is no index, or one of another number of passages.
    """
    index = read_faiss(file)
    if index.ntotal != passages:
        raise InputError(
            f"{file}: holds {index.ntotal} vectors, and {corpus} {passages} passages; give the"
            " index that was built over this corpus, or the corpus of this index, line for line"
        )
    out.mkdir(parents=True, exist_ok=True)
    inner = unwrap(index)
    kind = type(inner).__name__
    logger.info("%s: %s of %d vectors of %d numbers", file, kind, index.ntotal, index.d)
    if not isinstance(inner, WHOLE) or not _write_vectors(inner, out):
        link_tree(file, out / FILE)
    about = {"file": file.name, "sha256": hash_file(file), "kind": kind}
    return {"width": index.d, "faiss": about}


def _write_vectors(index: faiss.Index, out: Path) -> bool:
    """Write the vectors in half precision; false, and nothing, if they are not of length 1."""
    for start in range(0, index.ntotal, ROWS):
        block = index.reconstruct_n(start, min(ROWS, index.ntotal - start))
        file = out / f"vectors-{start:010d}.npy"
        if not (np.abs(np.linalg.norm(block, axis=1) - 1) < LENGTH).all():
            for done in out.glob("vectors-*.npy"):
                done.unlink()
            return False
        np.save(file, block.astype(np.float16))
    return True


class FaissSearch:
    """Search by FAISS itself, on the processor; the counterpart of `vectors.VectorSearch`."""

    def __init__(self, file: Path, parameters: str = "") -> None:
        """Load an index; `parameters` as FAISS's ParameterSpace takes them, `nprobe=64`.

        Raises InputError for parameters that this kind of index has not.
        """
        self._index = read_faiss(file)
        if parameters:
            space: Any = faiss.ParameterSpace()
            try:
                space.set_index_parameters(self._index, parameters)
            except RuntimeError:
                raise InputError(
                    f"retriever.index.faiss_parameters: {parameters!r} is not for an index of kind"
                    f" {type(self._index).__name__}; use nprobe=… for IVF, efSearch=… for HNSW"
                ) from None
        # A server is given one thread by default, which is slow over millions of vectors.
        faiss.omp_set_num_threads(len(os.sched_getaffinity(0)))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def find(self, queries: np.ndarray, topk: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorSearch.find`; a place is -1 where an approximate index finds no more."""
        if not len(queries):
            return np.zeros((0, topk), dtype=np.int64), np.zeros((0, topk), dtype=np.float32)
        distances, places = self._index.search(queries, min(topk, len(self)))
        is_product = self._index.metric_type == faiss.METRIC_INNER_PRODUCT
        return places, distances if is_product else 1 - distances / 2

    def compare(self, vectors: np.ndarray, places: np.ndarray) -> np.ndarray:
        """How near each vector is to that at its place, 1 if they are the same.

        Approximate indexes may not give their vectors back, or only nearly: there it is 1 for one
        that is found at its place, else 0.
        """
        if isinstance(inner := unwrap(self._index), WHOLE):
            stored = np.stack([inner.reconstruct(int(place)) for place in places])
            cosines: np.ndarray = (stored * vectors).sum(axis=1) / np.linalg.norm(stored, axis=1)
            return cosines
        found, _ = self.find(vectors, NEIGHBOURS)
        same: np.ndarray = (found == places[:, None]).any(axis=1).astype(np.float32)
        return same
