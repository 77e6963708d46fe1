"""A retriever that is as strict and as odd as Search-R1's own `retrieval_server.py`.

A FastAPI application over a flat FAISS index that FAISS itself has written, with an E5-style
encoder: `query: ` before a query, the mean over its tokens, length 1. What it knows of requests:
`queries` (needed), `topk` (null or 0: the number it was started with), `return_scores`; other
fields are passed over. Without scores its handler takes the list of results for a pair, so that
any number of queries but two fails, and two are answered with the first one's documents. A
document is the whole row of the corpus; place -1 of FAISS is its last row. There is no `/health`.
"""

import json
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from transformers import AutoModel, AutoTokenizer

from helpers.encoder import make_encoder

LONGEST = 256
"""Tokens of a text."""
SHAPE = {
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}


class Wanted(BaseModel):
    """A request."""

    queries: list[str]
    topk: int | None = None
    return_scores: bool = False


class E5:
    """An encoder as Search-R1 uses one."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder).eval()

    @torch.inference_mode()
    def encode(self, texts: list[str], kind: str) -> np.ndarray:
        """Vectors of `query` or `passage` texts."""
        told = self.tokenizer(
            [f"{kind}: {text}" for text in texts],
            max_length=LONGEST, padding=True, truncation=True, return_tensors="pt",
        )  # fmt: skip
        hidden = self.model(**told).last_hidden_state
        mask = told["attention_mask"][..., None]
        mean = (hidden * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean, dim=-1).numpy().astype(np.float32)


def make_e5(folder: Path, corpus: Path, seed: int = 1, **shape: int) -> Path:
    """A tiny encoder of random weights that knows the words of a corpus."""
    words = {word for row in read_rows(corpus) for word in split(row["contents"])}
    letters = [*map(chr, range(33, 127)), *(f"##{chr(code)}" for code in range(33, 127))]
    known = sorted(words | {"query", "passage", ":"} | set(letters))
    return make_encoder(folder, known, seed=seed, **{**SHAPE, **shape})


def split(text: str) -> list[str]:
    """Words without marks, as the tokenizer's, in lower case."""
    return "".join(c.lower() if c.isalnum() else " " for c in text).split()


def read_rows(corpus: Path) -> list[dict[str, Any]]:
    """The rows of a corpus."""
    return [json.loads(line) for line in corpus.read_text().splitlines()]


def write_index(corpus: Path, encoder: Path, out: Path, recipe: str = "Flat") -> Path:
    """A FAISS index of a corpus by inner product, as FAISS's factory words it."""
    texts = [row["contents"] for row in read_rows(corpus)]
    vectors = E5(encoder).encode(texts, "passage")
    index = faiss.index_factory(vectors.shape[1], recipe, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    if recipe.startswith("IDMap"):
        index.add_with_ids(vectors, np.arange(len(vectors)))
    else:
        index.add(vectors)
    faiss.write_index(index, str(out))
    return out


def make_app(corpus: Path, encoder: Path, index: Path, fault: str = "") -> FastAPI:
    """The application; `fault`: what is wrong with it.

    `shuffled ids`, `shuffled rows` (the index is of the same passages in another order), `empty`,
    `constant`, `random order`, `mixed` (the same disorder each time), `html`,
    `strings` (passages without their objects).
    """
    rows, found, e5 = read_rows(corpus), faiss.read_index(str(index)), E5(encoder)
    draw = random.Random(1)
    if fault == "shuffled ids":
        names = [row["id"] for row in rows]
        draw.shuffle(names)
        rows = [{**row, "id": name} for row, name in zip(rows, names, strict=True)]
    if fault == "shuffled rows":
        draw.shuffle(rows)
    app = FastAPI()

    def search(queries: list[str], topk: int, scored: bool) -> Any:
        results, scores = [], []
        if queries:
            values, places = found.search(e5.encode(queries, "query"), topk)
            results = [[rows[place] for place in row] for row in places.tolist()]
            scores = values.tolist()
        return (results, scores) if scored else results

    @app.post("/retrieve")
    def retrieve(wanted: Wanted) -> Any:
        if fault == "html":
            return HTMLResponse("<html>Welcome</html>")
        results, scores = search(wanted.queries, wanted.topk or 3, wanted.return_scores)
        answer = []
        for number, documents in enumerate(results):
            if fault == "constant":
                documents = rows[: len(documents)]
            hits = [
                {"document": document, "score": score}
                for document, score in zip(documents, scores[number], strict=False)
            ]
            if fault == "random order":
                draw.shuffle(hits)
            if fault == "mixed":
                random.Random(wanted.queries[number]).shuffle(hits)
            if fault == "strings":
                hits = [hit["document"]["contents"] for hit in hits]
            answer.append([] if fault == "empty" else hits if wanted.return_scores else documents)
        return {"result": answer}

    return app


@contextmanager
def serve(app: FastAPI) -> Iterator[str]:
    """Run an application on this machine; its URL, without /retrieve."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
