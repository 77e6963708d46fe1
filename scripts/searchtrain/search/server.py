"""The retriever: Search-R1's `/retrieve` over an index of any engine, and `/health`.

    python -m searchtrain.search.server --index DIR --corpus FILE --port 8001 \\
        [--encoder DIR] [--gpus N]

    POST /retrieve {"queries": [str], "topk": int|null, "return_scores": bool}
      -> {"result": [[{"document": {"id", "contents", ...}, "score": float}, ...] per query]}

Without `return_scores` a hit is the document itself; `topk` null or 0 means 3 (Search-R1,
`retrieval_server.py`). Invariant: every response is JSON, and every fault is a 4xx or 5xx whose
`error` says what to change.
"""

import argparse
import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from searchtrain.config import Fusion, Reranker
from searchtrain.core import cli
from searchtrain.search.encoder import list_devices
from searchtrain.search.index import open_index
from searchtrain.search.self_test import check_own
from searchtrain.search.store import PassageIndex

logger = logging.getLogger(__name__)

DEFAULT_TOPK = 3
MAX_TOPK = 1_000
MAX_QUERIES = 10_000
THREAD_FROM = 100_000
"""Passages from which scoring is slow enough to leave the event loop for a thread."""


def make_app(index: PassageIndex) -> Starlette:
    """The web application over a loaded index."""
    app = Starlette(
        routes=[
            Route("/retrieve", retrieve, methods=["POST"]),
            Route("/health", report_health, methods=["GET"]),
        ],
        exception_handlers={HTTPException: answer_fault, Exception: answer_fault},
    )
    app.state.index = index
    app.state.scoring = asyncio.Semaphore(index.REQUESTS)
    return app


async def retrieve(request: Request) -> Response:
    """Answer `POST /retrieve`."""
    queries, topk, return_scores = parse_body(await request.body())
    index, scoring = request.app.state.index, request.app.state.scoring
    if index.QUICK and len(index) < THREAD_FROM:
        return encode(rank_all(index, queries, topk, return_scores))
    async with scoring:
        return encode(await asyncio.to_thread(rank_all, index, queries, topk, return_scores))


async def report_health(request: Request) -> Response:
    """Answer `GET /health`: 200 as soon as the index is loaded."""
    return encode({"status": "ok", "passages": len(request.app.state.index)})


async def answer_fault(request: Request, error: Exception) -> Response:
    """Turn a refused request, or a failure whose traceback starlette logs, into JSON."""
    if isinstance(error, HTTPException):
        return encode({"error": error.detail}, error.status_code)
    return encode({"error": f"{type(error).__name__}: {error}"}, 500)


def rank_all(
    index: PassageIndex, queries: Sequence[str], topk: int, return_scores: bool
) -> dict[str, list[list[Any]]]:
    """The response to a valid request; passages pass through as the corpus has them."""
    result = []
    for ranking in index.rank_all(queries, topk):
        hits: list[Any] = []
        for place, score in ranking:
            document = orjson.Fragment(index.read_line(place))
            hits.append({"document": document, "score": score} if return_scores else document)
        result.append(hits)
    return {"result": result}


def parse_body(body: bytes) -> tuple[list[str], int, bool]:
    """Validate a request; raises HTTPException 400 naming the field and the value."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"the body is not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise HTTPException(400, 'the body must be an object like {"queries": ["..."], "topk": 3}')
    queries = value.get("queries")
    if not isinstance(queries, list) or not all(isinstance(query, str) for query in queries):
        raise HTTPException(400, "queries must be a list of strings")
    if len(queries) > MAX_QUERIES:
        raise HTTPException(400, f"queries has {len(queries)} entries; send at most {MAX_QUERIES}")
    topk = value.get("topk") or DEFAULT_TOPK
    if isinstance(topk, bool) or not isinstance(topk, int) or not 1 <= topk <= MAX_TOPK:
        raise HTTPException(
            400, f"topk must be null or an integer from 0 to {MAX_TOPK}, got {topk!r}"
        )
    return_scores = value.get("return_scores", False)
    if not isinstance(return_scores, bool):
        raise HTTPException(400, f"return_scores must be true or false, got {return_scores!r}")
    return queries, topk, return_scores


def encode(value: Any, status: int = 200) -> Response:
    """A JSON response."""
    return Response(orjson.dumps(value), status, media_type="application/json")


def main() -> None:
    """Serve an index until told to stop."""
    parser = argparse.ArgumentParser(description="Serve an index over Search-R1's /retrieve.")
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, help="dense, hybrid: the encoder's folder")
    parser.add_argument("--gpus", type=int, default=0, help="dense, hybrid: that hold the vectors")
    parser.add_argument(
        "--fusion", type=json.loads, default={}, help="hybrid: depth and weight as JSON"
    )
    parser.add_argument("--faiss-parameters", default="", help="as nprobe=64")
    parser.add_argument("--reranker", type=Path, help="the cross-encoder's folder")
    parser.add_argument(
        "--reranking", type=json.loads, default={}, help="its depth, max_tokens and gpu as JSON"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    index = open_index(
        args.index,
        args.corpus,
        model=args.encoder,
        gpus=args.gpus,
        fusion=Fusion.parse(args.fusion, "retriever.fusion"),
        parameters=args.faiss_parameters,
    )
    if args.reranker:
        from searchtrain.search.reranker import RerankedIndex

        settings = Reranker.parse(args.reranking, "retriever.reranker")
        # The vectors have the first GPUs.
        device = list_devices(args.gpus + settings.gpu)[-1] if settings.gpu else "cpu"
        index = RerankedIndex(index, args.reranker, settings, device)
    check_own(index)
    logger.info("serving %d passages on http://%s:%d", len(index), args.host, args.port)
    uvicorn.run(
        make_app(index), host=args.host, port=args.port, log_level="warning", access_log=False
    )


if __name__ == "__main__":
    cli.run(main)
