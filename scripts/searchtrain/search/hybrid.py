"""BM25 and dense search as one: a weighted sum of their scores, each scaled to 0 to 1.

Of each engine the best `depth` passages count; its scores are shifted and scaled so that the last
of them has 0 and the first 1, and a passage that only one engine has gets 0 from the other
(convex combination; Bruch, Gai, Ingber 2022, arXiv:2210.11934, who find it better than reciprocal
ranks, as here). Invariant: equal scores in corpus order.
"""

from collections.abc import Sequence
from pathlib import Path

from searchtrain import config
from searchtrain.search.bm25 import BM25Index
from searchtrain.search.dense import DenseIndex
from searchtrain.search.store import PassageIndex, Ranking


class HybridIndex(PassageIndex):
    """Both indexes over one corpus, in the folders `bm25` and `dense`."""

    ENGINE = "hybrid"
    VERSION = "1"

    def __init__(
        self, index: Path, corpus: Path, model: Path | None, gpus: int = 0,
        fusion: config.Fusion | None = None, parameters: str = "",
    ) -> None:  # fmt: skip
        """Load both; see `DenseIndex`."""
        super().__init__(index, corpus)
        self._fusion = fusion or config.Fusion()
        self._bm25 = BM25Index(index / "bm25", corpus)
        self._dense = DenseIndex(index / "dense", corpus, model, gpus, parameters)

    def rank_all(self, queries: Sequence[str], topk: int) -> list[Ranking]:
        """See `PassageIndex.rank_all`."""
        depth = max(self._fusion.depth, topk)
        lexical = self._bm25.rank_all(queries, depth)
        dense = self._dense.rank_all(queries, depth)
        weight = self._fusion.weight
        return [fuse(*both, weight)[: max(topk, 0)] for both in zip(lexical, dense, strict=True)]


def fuse(lexical: Ranking, dense: Ranking, weight: float) -> Ranking:
    """The weighted sum of two rankings' scaled scores, best first, equal ones by place."""
    total: dict[int, float] = {}
    for share, ranking in ((1 - weight, lexical), (weight, dense)):
        for place, score in scale(ranking):
            total[place] = total.get(place, 0.0) + share * score
    return sorted(total.items(), key=lambda hit: (-hit[1], hit[0]))


def scale(ranking: Ranking) -> Ranking:
    """Scores from 1 for the first to 0 for the last; all 1 when they are equal."""
    if not ranking:
        return []
    best, worst = ranking[0][1], ranking[-1][1]
    if best == worst:
        return [(place, 1.0) for place, _ in ranking]
    return [(place, (score - worst) / (best - worst)) for place, score in ranking]
