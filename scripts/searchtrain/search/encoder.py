"""The encoder of dense retrieval: texts in, vectors of length 1 out.

Invariant: a text's vector depends on the text, the encoder's folder, its prefix and its length
limit. Pooling is what the folder says (sentence-transformers' `modules.json`), else the mean, as
E5's (Wang 2022, arXiv:2212.03533). On GPUs it computes in half precision, as Search-R1 does.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from searchtrain.core.errors import InputError
from searchtrain.core.files import digest, hash_file
from searchtrain.data.lineage import hash_model

BATCH = {"cpu": 32, "cuda": 512}
"""Texts in one forward pass."""
PROCESSES = 2
"""Processes for each GPU: while one turns text into tokens, the other one's forward pass runs."""


class Encoder:
    """A sentence-transformers or Hugging Face encoder."""

    def __init__(self, folder: Path, max_tokens: int, device: str = "cpu") -> None:
        """Load an encoder; a text longer than `max_tokens` (special tokens and prefix included) is
        cut. Raises InputError for an unfit folder.
        """
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()
        check_encoder(folder)
        kind = torch.device(device).type
        try:
            self._model = SentenceTransformer(
                str(folder),
                device=device,
                local_files_only=True,
                model_kwargs={"dtype": torch.float16 if kind == "cuda" else torch.float32},
            )
            longest = self._model.max_seq_length
            self._model.max_seq_length = min(max_tokens, longest or max_tokens)
            width = len(self._model.encode("", show_progress_bar=False))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{folder}: no encoder that sentence-transformers can load"
                f" ({' '.join(str(error).split())[:200]}); give the whole folder of the model"
            ) from None
        self.width = width
        """Numbers in a vector."""
        self._options: dict[str, Any] = {
            "batch_size": BATCH[kind],
            "normalize_embeddings": True,
            "show_progress_bar": False,
        }

    def encode(self, texts: Sequence[str], prefix: str = "") -> np.ndarray:
        """Vectors of the texts, float32, one row each; `prefix` stands before each text."""
        if not texts:
            return np.zeros((0, self.width), dtype=np.float32)
        vectors = self._model.encode(list(texts), prompt=prefix or None, **self._options)
        return np.asarray(vectors, dtype=np.float32)

    @contextlib.contextmanager
    def spread(self, devices: Sequence[str]) -> Iterator["Encoder"]:
        """Encode in processes of their own on these devices while the block runs."""
        pool = self._model.start_multi_process_pool(list(devices))
        try:
            self._options["pool"] = pool
            yield self
        finally:
            del self._options["pool"]
            self._model.stop_multi_process_pool(pool)


def check_encoder(folder: Path) -> None:
    """Raise InputError when a folder lacks what an encoder needs."""
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{folder}: no encoder (config.json is missing); set retriever.embedder.model to the"
            " folder of a sentence-transformers or Hugging Face encoder"
        )
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
        raise InputError(
            f"{folder}: no tokenizer (tokenizer.json or vocab.txt) in this folder; copy the"
            " tokenizer's files of the encoder into it"
        )


def hash_encoder(folder: Path) -> str:
    """SHA-256 that stands for an encoder: weights, tokenizer and settings."""
    check_encoder(folder)
    files = sorted({*folder.glob("*.json"), *folder.glob("*.txt"), *folder.glob("*/config.json")})
    named = {file.relative_to(folder).as_posix(): hash_file(file) for file in files}
    return digest({"weights": hash_model(folder), "files": named})


def list_devices(gpus: int) -> list[str]:
    """The devices to compute on: `gpus` GPUs, or for 0 the processor.

    Raises InputError when there are fewer.
    """
    import torch

    if not gpus:
        return ["cpu"]
    there = torch.cuda.device_count()
    if there < gpus:
        raise InputError(
            f"retriever: {gpus} GPUs are asked for and {there} are there; lower retriever.gpu"
            " (searching) or retriever.embedder.gpu (building the index), 0 for none"
        )
    return [f"cuda:{number}" for number in range(gpus)]
