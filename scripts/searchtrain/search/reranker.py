"""A cross-encoder over what an engine finds: it reads the query with each of the best passages.

Nogueira and Cho 2019 (arXiv:1901.04085). Invariant: the order of what comes back is the
cross-encoder's, equal scores as the engine has them, and nothing comes that the engine does not
have among its best `depth`.
"""

from collections.abc import Sequence
from pathlib import Path

import orjson

from searchtrain import config
from searchtrain.core.errors import InputError
from searchtrain.search.contents import split_contents
from searchtrain.search.encoder import check_encoder
from searchtrain.search.store import PassageIndex, Ranking

BATCH = {"cpu": 32, "cuda": 256}
"""Pairs in one forward pass."""


class RerankedIndex(PassageIndex):
    """An index whose answers are put into a cross-encoder's order."""

    def __init__(
        self, index: PassageIndex, model: Path, settings: config.Reranker, device: str = "cpu"
    ) -> None:
        """Load the cross-encoder from its folder; raises InputError when it is none."""
        from sentence_transformers import CrossEncoder
        from transformers.utils import logging

        self.index, self.manifest = index, index.manifest
        self._depth = settings.depth
        kind = device.partition(":")[0]
        logging.disable_progress_bar()
        check_encoder(model)
        try:
            self._model = CrossEncoder(
                str(model),
                device=device,
                max_length=settings.max_tokens,
                local_files_only=True,
                model_kwargs={"dtype": "float16" if kind == "cuda" else "float32"},
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{model}: no cross-encoder that sentence-transformers can load"
                f" ({' '.join(str(error).split())[:200]}); check retriever.reranker.model"
            ) from None
        if self._model.num_labels != 1:
            raise InputError(
                f"{model}: a classifier of {self._model.num_labels} classes gives no score to sort"
                " by; set retriever.reranker.model to a cross-encoder with one output"
            )
        self._batch = BATCH[kind]

    def rank_all(self, queries: Sequence[str], topk: int) -> list[Ranking]:
        """See `PassageIndex.rank_all`."""
        found = self.index.rank_all(queries, max(self._depth, topk) if topk > 0 else 0)
        pairs = [
            (query, self._read_text(place))
            for query, ranking in zip(queries, found, strict=True)
            for place, _ in ranking
        ]
        if not pairs:
            return found
        scores = iter(
            self._model.predict(pairs, batch_size=self._batch, show_progress_bar=False).tolist()
        )
        reread = [[(place, float(next(scores))) for place, _ in ranking] for ranking in found]
        return [sorted(ranking, key=lambda hit: -hit[1])[:topk] for ranking in reread]

    def read_line(self, place: int) -> bytes:
        """See `PassageIndex.read_line`."""
        return self.index.read_line(place)

    def _read_text(self, place: int) -> str:
        title, text = split_contents(orjson.loads(self.read_line(place)))
        return f"{title}\n{text}"
