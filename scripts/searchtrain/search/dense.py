"""A dense index in a folder: the vectors of a corpus' passages, written as they are finished.

Invariant: an index answers only with the encoder that wrote it: the encoder's files are known by
their SHA-256, and the first passage, encoded again, must have its vector still; of an index of
another's making (`faiss_file`) a sample of passages must, which no other corpus, encoder or prefix
passes. A build that was interrupted goes on after its last whole file of vectors.
"""

import contextlib
import itertools
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from searchtrain import config
from searchtrain.core.errors import InputError
from searchtrain.core.files import link_tree, read_json, replace_file, write_json
from searchtrain.search.encoder import PROCESSES, Encoder, hash_encoder, list_devices
from searchtrain.search.manifest import REMEDY
from searchtrain.search.store import Offsets, PassageIndex, Ranking
from searchtrain.search.vectors import VectorSearch, load_vectors

if TYPE_CHECKING:
    from searchtrain.search.faiss_file import FaissSearch

logger = logging.getLogger(__name__)

SHARD = 8_192
"""Passages in a file of vectors, for each process that encodes."""
SAME = 0.99
"""Least product of a passage's vector and its vector encoded again, in another precision maybe."""
SAMPLE = 16
"""Passages of a FAISS index that are encoded again, and of them `MOST` must have their vector:
another's encoder may have cut the longest ones elsewhere."""
MOST = 12


class DenseIndex(PassageIndex):
    """A loaded index with its corpus and encoder."""

    ENGINE = "dense"
    VERSION = "1"
    """Of the folder's format; to be raised when older ones cannot be read."""

    def __init__(
        self, index: Path, corpus: Path, model: Path | None, gpus: int = 0, parameters: str = ""
    ) -> None:
        """Load an index; `model` is the encoder's folder, `gpus` how many GPUs take the vectors,
        `parameters` how FAISS searches an approximate index.

        Raises InputError when it does not belong to this corpus or encoder.
        """
        super().__init__(index, corpus)
        model = need_model(model)
        if self.manifest["encoder_sha256"] != hash_encoder(model):
            raise InputError(f"{index}: built with another encoder than {model}; {REMEDY}")
        settings = config.Embedder(**self.manifest["embedder"])
        devices = list_devices(gpus)
        self._vectors = open_vectors(index, devices, parameters)
        if len(self._vectors) != len(self):
            raise InputError(
                f"{index}: holds {len(self._vectors)} vectors of {len(self)} passages; {REMEDY}"
            )
        self._encoder = Encoder(model, settings.max_tokens, devices[0])
        self._prefix = settings.query_prefix
        if "faiss" in self.manifest:
            self._check_foreign(corpus, model, settings)
        else:
            self._check_encoder(index, model, settings.passage_prefix)

    def rank_all(self, queries: Sequence[str], topk: int) -> list[Ranking]:
        """See `PassageIndex.rank_all`; a query without a word matches nothing."""
        filled = [place for place, query in enumerate(queries) if query.strip()]
        vectors = self._encoder.encode([queries[place] for place in filled], self._prefix)
        rankings: list[Ranking] = [[] for _ in queries]
        if topk < 1:
            return rankings
        for place, found, scores in zip(filled, *self._vectors.find(vectors, topk), strict=True):
            pairs = zip(found.tolist(), scores.tolist(), strict=True)
            rankings[place] = [pair for pair in pairs if 0 <= pair[0] < len(self)]
        return rankings

    def _check_encoder(self, index: Path, model: Path, prefix: str) -> None:
        """Raise InputError when another version of a library encodes differently."""
        first = orjson.loads(self.read_line(0))["contents"]
        vector = self._encoder.encode([first], prefix)
        score = float(self._vectors.compare(vector, np.zeros(1, dtype=np.int64))[0])
        if score < SAME:
            raise InputError(
                f"{index}: the encoder {model} gives the first passage another vector now (their"
                f" product is {score:.3f}); install the packages of the build, or {REMEDY}"
            )

    def _check_foreign(self, corpus: Path, model: Path, settings: config.Embedder) -> None:
        """Raise InputError when the vectors are not those of these passages by this encoder."""
        places = np.unique(np.linspace(0, len(self) - 1, SAMPLE).astype(np.int64))
        texts = [orjson.loads(self.read_line(place))["contents"] for place in places]
        vectors = self._encoder.encode(texts, settings.passage_prefix)
        same = self._vectors.compare(vectors, places)
        right = int((same >= SAME).sum())
        if right * SAMPLE < MOST * len(places):
            worst = int(same.argmin())
            raise InputError(
                f"{self.manifest['faiss']['file']}: of {len(places)} passages of {corpus}, encoded"
                f" by {model} with the prefix {settings.passage_prefix!r}, {right} have the vector"
                f" that this FAISS index holds of them (line {places[worst] + 1}:"
                f" {same[worst]:.3f}); set retriever.embedder.model and passage_prefix to the"
                " encoder that built it, and data.corpus to the passages in the same order"
            )


def open_vectors(
    index: Path, devices: Sequence[str], parameters: str = ""
) -> "VectorSearch | FaissSearch":
    """The vectors of an index: files of our own, else the FAISS index that it took over."""
    if files := list_shards(index):
        return load_vectors(files, devices)
    from searchtrain.search.faiss_file import FILE, FaissSearch

    return FaissSearch(index / FILE, parameters)


def take_dense(
    corpus: Path, source: Path, out: Path, model: Path | None, settings: config.Embedder
) -> dict[str, Any]:
    """Bring the FAISS index `source` of a corpus into the folder `out`, in place of `build_dense`.

    Returns the manifest's entries of this engine. Raises InputError for a bad corpus row, an unfit
    encoder or an index of another corpus' size or another encoder's width.
    """
    from searchtrain.search.faiss_file import take_vectors

    model = need_model(model)
    encoder, offsets = Encoder(model, settings.max_tokens), Offsets()
    for _ in offsets.read(corpus):
        pass
    facts = take_vectors(source, corpus, len(offsets), out)
    if facts["width"] != encoder.width:
        raise InputError(
            f"{source}: its vectors have {facts['width']} numbers, and those of {model}"
            f" {encoder.width}; set retriever.embedder.model to the encoder that built it"
        )
    offsets.save(out)
    about = {"encoder_sha256": hash_encoder(model), "embedder": settings.tracked()}
    return {"passages": len(offsets), **about, **facts}


def build_dense(
    corpus: Path, corpus_sha256: str, out: Path, partial: Path, model: Path | None,
    settings: config.Embedder, gpus: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Encode a corpus into the folder `out`; returns the manifest's entries of this engine.

    Vectors gather in `partial`, from which an interrupted build goes on; they stay there, linked,
    for the caller to remove. Raises InputError for a bad corpus row, an unfit encoder, or fewer
    GPUs than asked for.
    """
    model = need_model(model)
    facts: dict[str, Any] = {"encoder_sha256": hash_encoder(model), "embedder": settings.tracked()}
    devices = list_devices(gpus)
    encoder = Encoder(model, settings.max_tokens, devices[0])
    facts["width"] = encoder.width
    plan = {**facts, "format": DenseIndex.VERSION, "corpus_sha256": corpus_sha256}
    prepare_partial(partial, plan)
    done = sum(len(np.load(file, mmap_mode="r")) for file in list_shards(partial))
    if done:
        logger.info("going on after %d passages", done)
    processes = devices * PROCESSES if gpus else devices
    offsets = Offsets()
    texts = itertools.islice((row["contents"] for row in offsets.read(corpus)), done, None)
    with encoder.spread(processes) if gpus else contextlib.nullcontext():
        size = SHARD * len(processes)
        batches = iter(lambda: list(itertools.islice(texts, size)), [])
        encode_all(encoder, settings.passage_prefix, batches, partial, done)
    if not len(offsets):
        raise InputError(f"{corpus}: no passages; give one JSON object a line")
    for file in list_shards(partial):
        link_tree(file, out / file.name)
    offsets.save(out)
    return {"passages": len(offsets), **facts}


def encode_all(
    encoder: Encoder, prefix: str, batches: Iterator[list[str]], partial: Path, done: int
) -> None:
    """Encode batch by batch, each into a file of its own; the next is read meanwhile."""
    began, first = time.monotonic(), done
    with ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(next, batches, None)
        while texts := waiting.result():
            waiting = reader.submit(next, batches, None)
            vectors = encoder.encode(texts, prefix).astype(np.float16)
            if not np.isfinite(vectors).all():
                raise InputError(
                    f"the encoder gives no finite vector for a passage in rows {done + 1} to"
                    f" {done + len(texts)}; check retriever.embedder.model"
                )
            with replace_file(partial / f"vectors-{done:010d}.npy") as file, file.open("wb") as out:
                np.save(out, vectors)
            done += len(texts)
            rate = (done - first) / (time.monotonic() - began)
            logger.info("%d passages encoded, %.0f a second", done, rate)


def prepare_partial(partial: Path, plan: dict[str, Any]) -> None:
    """Keep what an interrupted build of the same plan has left, and nothing else."""
    file = partial / "plan.json"
    if file.is_file() and read_json(file) == plan:
        return
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_json(plan, file)


def list_shards(folder: Path) -> list[Path]:
    """The files of vectors in corpus order."""
    return sorted(folder.glob("vectors-*.npy"))


def need_model(model: Path | None) -> Path:
    """The encoder's folder; raises InputError when none is configured."""
    if model is None:
        raise InputError(
            "retriever.embedder.model: missing; set it to the folder of an encoder, or"
            " retriever.index.engine to bm25"
        )
    return model
