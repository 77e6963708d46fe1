"""Exact search by inner product over vectors kept in half precision.

A block of vectors times the queries in half precision gives candidates; the candidates' products
in single precision give the ranking. Invariant: the ranking is the one that single precision
alone would give, equal scores in the order of the vectors: candidates are added until none that
is left out can belong to the best, given the error of half precision. Only of more than LIMIT
vectors that half precision cannot tell apart any may come.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

ERROR = 2.0**-10
"""Bound of the error of a product of two vectors of length 1 in half precision: rounding the query
costs at most 2^-11, rounding the result 2^-12, and sums have the rest."""
MARGIN = 64
"""Candidates beyond those asked for, to begin with."""
LIMIT = 1 << 16
"""Most candidates of a query."""
QUERIES = 128
"""Queries multiplied at once: with a block of a million vectors their scores take 256 MB."""
GPU_ROWS = 1 << 20
"""Vectors in one block on a GPU."""


class VectorSearch:
    """Vectors in blocks, each on a device; thread-safe."""

    def __init__(self, blocks: Sequence[torch.Tensor]) -> None:
        """`blocks`: float16 tensors (rows, width) of vectors of length 1, in order."""
        self._blocks = list(blocks)
        rows = [len(block) for block in blocks]
        self._starts = np.concatenate([[0], np.cumsum(rows)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def find(self, queries: np.ndarray, topk: int) -> tuple[np.ndarray, np.ndarray]:
        """The best vectors of each query: places (int64) and products (float32), best first.

        `queries`: float32 (count, width) of length 1. Both results are (count, topk), or narrower
        when there are fewer vectors.
        """
        topk = min(topk, len(self))
        places = np.empty((len(queries), topk), dtype=np.int64)
        scores = np.empty((len(queries), topk), dtype=np.float32)
        for start in range(0, len(queries), QUERIES):
            some = slice(start, start + QUERIES)
            places[some], scores[some] = self._find_some(queries[some], topk)
        return places, scores

    @torch.inference_mode()
    def _find_some(self, queries: np.ndarray, topk: int) -> tuple[np.ndarray, np.ndarray]:
        found = np.empty((len(queries), topk), dtype=np.int64)
        scores = np.empty((len(queries), topk), dtype=np.float32)
        waiting, count = np.arange(len(queries)), topk + MARGIN
        while len(waiting):
            count = min(count, len(self))
            places, coarse = self._multiply(queries[waiting], count)
            exact = self.score(queries[waiting], places)
            order = np.lexsort((places, -exact))[:, :topk]
            best = np.take_along_axis(exact, order, 1)
            found[waiting] = np.take_along_axis(places, order, 1)
            scores[waiting] = best
            if count >= min(len(self), LIMIT):
                break
            # What was left out is at most as good as the worst candidate, but for the error.
            waiting = waiting[best[:, -1] <= coarse.min(axis=1) + ERROR]
            count *= 4
        return found, scores

    def _multiply(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The `count` best places by products in half precision, and these products."""
        on_device: dict[torch.device, torch.Tensor] = {}
        parts: list[tuple[torch.Tensor, torch.Tensor]] = []
        # All devices are given their work before any result is waited for.
        for block in self._blocks:
            if block.device not in on_device:
                half = torch.from_numpy(queries).to(block.device, torch.float16)
                on_device[block.device] = half
            scores = on_device[block.device] @ block.T
            parts.append(scores.topk(min(count, len(block)), dim=1, sorted=False))
        scores = torch.cat([part[0].cpu() for part in parts], dim=1)
        places = torch.cat(
            [part[1].cpu() + int(s) for part, s in zip(parts, self._starts, strict=False)], dim=1
        )
        best = scores.float().topk(count, dim=1, sorted=False)
        return places.gather(1, best.indices).numpy(), best.values.numpy()

    def compare(self, vectors: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The product of each vector with that at its place: 1 if they are the same."""
        return self.score(vectors, places[:, None])[:, 0]

    def score(self, queries: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Products in single precision of each query with the vectors at its places.

        `queries`: float32 (count, width). `places` and the result: (count, number).
        """
        wanted, where = np.unique(places, return_inverse=True)
        rows = np.empty((len(wanted), queries.shape[1]), dtype=np.float16)
        owners = np.searchsorted(self._starts, wanted, side="right") - 1
        for owner in np.unique(owners):
            chosen = owners == owner
            inside = torch.from_numpy(wanted[chosen] - self._starts[owner])
            block = self._blocks[owner]
            rows[chosen] = block[inside.to(block.device)].cpu().numpy()
        gathered = rows[where.reshape(places.shape)].astype(np.float32)
        # Not a matrix product: its sums may differ between places that hold the same vector.
        products: np.ndarray = np.einsum("qd,qpd->qp", queries, gathered, optimize=False)
        return products


def load_vectors(files: Sequence[Path], devices: Sequence[str]) -> VectorSearch:
    """Load float16 `.npy` files: mapped into memory on a processor, spread evenly over GPUs."""
    if devices[0] == "cpu":
        # Copy on write: torch wants memory that could be written, and nothing writes.
        return VectorSearch([torch.from_numpy(np.load(file, mmap_mode="c")) for file in files])
    arrays = [np.load(file, mmap_mode="r") for file in files]
    total, done = sum(map(len, arrays)), 0
    blocks: list[torch.Tensor] = []
    for group in group_rows(arrays, min(GPU_ROWS, -(-total // len(devices)))):
        device = devices[done * len(devices) // total]
        blocks.append(torch.cat([torch.from_numpy(np.array(a)) for a in group]).to(device))
        done += len(blocks[-1])
    return VectorSearch(blocks)


def group_rows(arrays: Sequence[np.ndarray], rows: int) -> list[list[np.ndarray]]:
    """Neighbouring arrays together until they have about `rows` rows."""
    groups: list[list[np.ndarray]] = []
    have = rows
    for array in arrays:
        if have >= rows:
            groups.append([])
            have = 0
        groups[-1].append(array)
        have += len(array)
    return groups
