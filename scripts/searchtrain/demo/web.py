"""The server of the laptop's own web: its search engine, and the pages that this finds.

    python -m searchtrain.demo.web --index DIR --corpus FILE --port 8002 --rates JSON --ledger FILE

    POST /search {"q", "num", "gl", "hl", "page"}   serper.dev's response over the corpus
    GET  /place/<id>, /place/<id>.pdf, ...          the web itself, as host `atlas.test`
    GET  /health, /stats                            ready, and requests answered so far

Invariant: an answer is a function of the request and the rates, but that a search request which
fails at its first attempt is answered at the next.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from searchtrain import config
from searchtrain.core import cli
from searchtrain.core.files import digest
from searchtrain.demo import server
from searchtrain.demo.atlas import (
    Atlas,
    draw_pdf,
    stream_large,
    stream_slowly,
    write_address,
    write_page,
)
from searchtrain.demo.draws import check_rates, draw_share
from searchtrain.demo.engine import DEFAULT_RESULTS, Engine, parse_search
from searchtrain.demo.requests import Refusal
from searchtrain.demo.server import Ledger, send_json
from searchtrain.search.bm25 import BM25Index

logger = logging.getLogger(__name__)

RATES = config.Web().scripted.tracked()
INSIDE_URL = "http://10.0.0.1/"
NOT_FOUND = "<!doctype html><title>404</title><h1>Page not found</h1>"
GRACE_SECONDS = 2


def make_app(
    index: BM25Index, rates: Mapping[str, float], ledger: Ledger, api_key: str = ""
) -> Starlette:
    """The engine and the web as one application; with `api_key` searches need that key.

    Raises InputError for bad rates.
    """
    lines = (index.read_line(number) for number in range(len(index)))
    atlas = Atlas(lines, check_rates(rates, RATES, "web.rates"))
    return server.make_app(
        [Route("/search", serve_search, methods=["POST"]), Route("/{path:path}", serve_page)],
        ledger,
        summarise=count_kinds,
        atlas=atlas,
        engine=Engine(index, atlas),
        drawing=asyncio.Semaphore(1),
        api_key=api_key,
    )


async def serve_search(request: Request) -> Response:
    """Answer `POST /search` as serper.dev does."""
    state = request.app.state
    content = await request.body()
    name = digest(content.decode(errors="replace"))
    state.ledger.add(f"search:{name}")
    if state.api_key and request.headers.get("x-api-key") != state.api_key:
        return _refuse(403, "Unauthorized.")
    try:
        body, num, page = parse_search(content)
    except Refusal as refusal:
        return _refuse(400, str(refusal))
    state.attempts[name] += 1
    if state.attempts[name] == 1:
        if draw_share(state.atlas.rates, "http_429", name):
            return _refuse(429, "Too many requests.")
        if draw_share(state.atlas.rates, "http_500", name):
            return _refuse(500, "Internal server error.")
    parameters = {**body, "type": "search", "num": num, "page": page}
    found = state.engine.search(body["q"], num, skip=num * (page - 1))
    credits = 1 if num <= DEFAULT_RESULTS else 2
    return send_json({"searchParameters": parameters, **found, "credits": credits})


async def serve_page(request: Request) -> Response:
    """Answer a GET of the web, traps included."""
    state = request.app.state
    atlas: Atlas = state.atlas
    kind, _, name = request.path_params["path"].partition("/")
    address = digest([request.url.path, request.url.query])
    state.ledger.add(f"{kind or 'home'}:{address}")
    if kind == "robots.txt":
        return Response("User-agent: *\nDisallow: /private/\n", media_type="text/plain")
    pdf = kind == "place" and name.endswith(".pdf")
    place = atlas.by_id.get(name.removesuffix(".pdf") if pdf else name)
    if place is None or kind == "missing" or (kind == "place" and atlas.is_pdf(place) != pdf):
        return HTMLResponse(NOT_FOUND, 404)
    if pdf:
        async with state.drawing:
            drawn = await asyncio.to_thread(draw_pdf, place)
        return Response(drawn, media_type="application/pdf")
    match kind:
        case "place" | "private":
            return HTMLResponse(write_page(place, atlas.find_links(place)))
        case "moved":
            return RedirectResponse(atlas.locate(place), 301)
        case "large" | "slow":
            stream = stream_large if kind == "large" else stream_slowly
            return StreamingResponse(stream(place), media_type="text/html")
        case "loop":
            again = "" if request.url.query else "?again=1"
            return RedirectResponse(write_address("loop", name, again), 302)
        case "inside":
            return RedirectResponse(INSIDE_URL, 302)
    return HTMLResponse(NOT_FOUND, 404)


def count_kinds(ledger: Ledger) -> dict[str, Any]:
    """Requests answered, how many of them differ, and how many there were of each kind."""
    kinds = Counter(entry.partition(":")[0] for entry in ledger.counts.elements())
    return {**ledger.summarise(), "kinds": dict(sorted(kinds.items()))}


def _refuse(status: int, message: str) -> Response:
    """An error as serper.dev words it."""
    return send_json({"message": message, "statusCode": status}, status)


def main() -> None:
    """Serve until told to stop."""
    parser = server.make_parser(__doc__)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--api-key", default="", help="the only X-API-KEY that may search")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    index = BM25Index(args.index, args.corpus)
    app = make_app(index, args.rates, Ledger(args.ledger), args.api_key)
    logger.info("serving %d places on http://%s:%d", len(index), args.host, args.port)
    server.run(app, args, GRACE_SECONDS)


if __name__ == "__main__":
    cli.run(main)
