"""The laptop's own web: a search engine with Serper's contract, and the pages that it finds.

    python -m searchtrain.demo.web --index DIR --corpus FILE --port 8002 --rates JSON --ledger FILE

    POST /search {"q", "num", "gl", "hl", "page"}   serper.dev's response over the corpus
    GET  /place/<id>, /place/<id>.pdf, ...          the web itself, as host `atlas.test`
    GET  /health, /stats                            ready, and requests answered so far

Every passage is one place of an atlas: a page with navigation, scripts and a cookie banner, or a
PDF. Some hits are traps (`TRAPS`): a page that is missing, huge, slow, in circles, inside a private
network or forbidden by robots.txt. Invariant: an answer is a function of the request and the rates,
but that a search request which fails at its first attempt is answered at the next.
"""

import argparse
import asyncio
import html
import io
import itertools
import json
import logging
import re
import textwrap
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from searchtrain.core import cli
from searchtrain.core.errors import InputError
from searchtrain.core.files import digest
from searchtrain.demo.teacher import NAMES, Ledger, draw_share, hash_parts
from searchtrain.demo.world import read_passage
from searchtrain.search.bm25 import BM25Index

logger = logging.getLogger(__name__)

HOST = "atlas.test"
"""The web's only host; .test is reserved and never resolves (RFC 2606)."""

RATES = {
    "traps": 0.1,
    "pdf": 0.1,
    "moved": 0.05,
    "answer_box": 0.1,
    "http_429": 0.02,
    "http_500": 0.02,
}
"""Defaults. Shares of the queries (`traps`, `answer_box`), of the places (`pdf`: only as PDF,
`moved`: found under an old address), of the search requests that fail at first (`http_*`)."""

TRAPS = ("missing", "large", "slow", "loop", "inside", "private")
TRAP_RANKS = 3
INSIDE_URL = "http://10.0.0.1/"
LARGE_BYTES = 30_000_000
CHUNK_BYTES = 1 << 16
SLOW_SECONDS = 600
"""A slow page sends a byte a second, for so long."""

DEFAULT_RESULTS = 10
MAX_RESULTS = 100
SPARE = 100
"""Hits looked at beyond those asked for when a query excludes some."""
SHUTDOWN_SECONDS = 2
MATCH = 0.5
"""Of the best hit's score: less is no match."""
PDF_COLUMNS = 76
PAGE = (8.27, 11.69)
"""A4 in inches."""

EXCLUDED = re.compile(r"(?<!\S)-site:(\S+)")
SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z])")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

FILLER = (
    "The facts on this page come from an open gazetteer. Anyone may use them for any purpose, as"
    " long as its editors are named.",
    "Names are written in Latin letters and without accents where that is possible, so that they"
    " can be typed on every keyboard.",
    "The atlas gives one page to every place. The links at the side lead to the pages that belong"
    " to it, such as the country of a town.",
    "Figures are those of the gazetteer. They may differ from the latest census, because towns grow"
    " and shrink between two editions.",
    "Whoever finds a mistake should report it to the gazetteer itself, from which the next edition"
    " of these pages will be made.",
    "All pages are laid out alike: a heading with the name, a few short paragraphs, and a line at"
    " the bottom that says where everything comes from.",
)
"""Paragraphs around a place's own: true of every page, and of no use for any question."""

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="{title} in the atlas">
<meta property="og:title" content="{title}">
<title>{title}</title>
<style>nav ul{{display:flex}}.cookie{{position:fixed;bottom:0}}</style>
<script>function track(e){{(window.events=window.events||[]).push(e)}}</script>
</head>
<body>
<div id="cookie-banner" class="cookie" role="dialog">
<span>We use cookies.</span><button>Accept all</button><button>Settings</button>
</div>
<header>
<nav class="navigation"><ul>
<li><a href="/">Home</a></li><li><a href="/index">Places from A to Z</a></li>
<li><a href="/maps">Maps</a></li><li><a href="/login">Log in</a></li>
</ul></nav>
</header>
<div class="sidebar"><h4>See also</h4><ul>
{links}
</ul></div>
<main><article>
<h1>{title}</h1>
{paragraphs}
</article></main>
<footer><p>Terms | Privacy | Contact</p></footer>
<script>track("view")</script>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Place:
    """One passage as the web knows it."""

    id: str
    title: str
    text: str
    links: tuple[str, ...]


class Atlas:
    """All places, the index that finds them, and what the rates make of them."""

    def __init__(self, index: BM25Index, rates: Mapping[str, float]) -> None:
        """Read every place; a corpus of millions of passages is not for this server."""
        self.rates = rates
        self._index = index
        self._places = [_read_place(index.read_line(number)) for number in range(len(index))]
        self._by_id = {place.id: place for place in self._places}
        self._pdfs: dict[str, bytes] = {}
        self._drawing = asyncio.Semaphore(1)

    def find_place(self, name: str) -> Place | None:
        """The place with this id."""
        return self._by_id.get(name)

    def find_links(self, place: Place) -> list[Place]:
        """The places that a place links to, as far as they have a page."""
        return [self._by_id[name] for name in place.links if name in self._by_id]

    def is_pdf(self, place: Place) -> bool:
        """Whether a place exists as PDF only."""
        return draw_share(self.rates, "pdf", place.id)

    def locate(self, place: Place) -> str:
        """The path of a place's page."""
        return f"/place/{quote(place.id, safe='')}{'.pdf' if self.is_pdf(place) else ''}"

    def search(self, query: str, num: int, page: int) -> dict[str, Any]:
        """Serper's response: `organic`, and what else an engine shows for this query.

        `query` may hold `-site:host` and `-site:host/path`; `num` results a page, pages from 1.
        """
        excluded = EXCLUDED.findall(query)
        words = " ".join(EXCLUDED.sub(" ", query).split())
        found = self._find_places(words, num * page + (SPARE if excluded else 0))
        rows = [self._make_hit(place) for place in found]
        if found and draw_share(self.rates, "traps", found[0].id):
            self._set_trap(found, rows)
        shown = [
            (place, row)
            for place, row in zip(found, rows, strict=True)
            if not _is_excluded(row["link"], excluded)
        ][num * (page - 1) : num * page]
        organic = [
            {**row, "position": number + num * (page - 1)}
            for number, (_, row) in enumerate(shown, 1)
        ]
        return {**self._make_extras(words, [place for place, _ in shown]), "organic": organic}

    def _find_places(self, words: str, count: int) -> list[Place]:
        """The places that the query names, or else those that match it; then their neighbours.

        Engines weigh titles above all and fill a page with what is related. A word that half of the
        corpus has ("city") makes everything match a little: that is no match.
        """
        ranked = self._index.rank(words, count)
        if not ranked:
            return []
        highest = ranked[0][1]
        matches = [number for number, score in ranked if score >= MATCH * highest]
        best = [number for number in matches if _names(words, self._places[number])] or matches
        size = len(self._places)
        near = ((best[0] + step) % size for step in range(1, size))
        chosen = itertools.islice(dict.fromkeys([*best, *near]), count)
        return [self._places[number] for number in chosen]

    def _make_hit(self, place: Place) -> dict[str, Any]:
        path = self.locate(place)
        if draw_share(self.rates, "moved", place.id):
            path = f"/moved/{quote(place.id, safe='')}"
        hit = {"title": place.title, "link": _address(path), "snippet": _cut_snippet(place)}
        number = hash_parts("date", place.id)
        if number % 3 == 0:
            hit["date"] = f"{MONTHS[number % 12]} {number % 28 + 1}, {2015 + number % 10}"
        if number % 7 == 0 and (linked := self.find_links(place)):
            hit["sitelinks"] = [
                {"title": other.title, "link": _address(self.locate(other))} for other in linked
            ]
        return hit

    def _set_trap(self, found: Sequence[Place], rows: Sequence[dict[str, Any]]) -> None:
        """Lead one of the first hits astray; its snippet tells all that its page would.

        The best hit decides, so that the same question in other words meets the same trap.
        """
        number = hash_parts("trap", found[0].id)
        rank = number % min(TRAP_RANKS, len(rows))
        kind = TRAPS[number // TRAP_RANKS % len(TRAPS)]
        place = found[rank]
        rows[rank]["link"] = _address(f"/{kind}/{quote(place.id, safe='')}")
        rows[rank]["snippet"] = place.text

    def _make_extras(self, words: str, shown: Sequence[Place]) -> dict[str, Any]:
        """Knowledge graph, answer box and questions that people also ask."""
        extras: dict[str, Any] = {}
        named = [place for place in shown if place.title.lower() == words.lower()]
        if named:
            extras["knowledgeGraph"] = self._describe(named[0])
        if shown and _names(words, shown[0]):
            first = shown[0]
            source = {"title": first.title, "link": _address(self.locate(first))}
            if draw_share(self.rates, "answer_box", first.id):
                extras["answerBox"] = {"snippet": first.text, **source}
            question = {"question": f"What is known about {first.title}?"}
            extras["peopleAlsoAsk"] = [{**question, "snippet": _cut_snippet(first), **source}]
        return extras

    def _describe(self, place: Place) -> dict[str, Any]:
        facts = read_passage(place.text)
        return {
            "title": place.title,
            "type": "City" if "population" in facts else "Country" if facts else "Topic",
            "description": place.text,
            "descriptionSource": "Atlas",
            "descriptionLink": _address(self.locate(place)),
            "attributes": {NAMES[name].capitalize(): value for name, value in facts.items()},
        }

    async def read_pdf(self, place: Place) -> bytes:
        """A place's PDF; drawn once, and one at a time, as matplotlib wants it."""
        async with self._drawing:
            if place.id not in self._pdfs:
                self._pdfs[place.id] = await asyncio.to_thread(draw_pdf, place)
            return self._pdfs[place.id]


def check_rates(rates: Mapping[str, float]) -> dict[str, float]:
    """Fill in missing rates from `RATES`; raises InputError for an unknown one or a bad value."""
    for kind, rate in rates.items():
        if kind not in RATES:
            known = ", ".join(RATES)
            raise InputError(f"web.rates: unknown kind {kind!r}; known are {known}")
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise InputError(f"web.rates.{kind}: {rate!r} is not a share; give 0 to 1")
    return {kind: float(rates.get(kind, default)) for kind, default in RATES.items()}


def make_app(
    index: BM25Index, rates: Mapping[str, float], ledger: Ledger, api_key: str = ""
) -> Starlette:
    """The engine and the web as one application; with `api_key` searches need that key."""
    app = Starlette(
        routes=[
            Route("/search", serve_search, methods=["POST"]),
            Route("/health", serve_health),
            Route("/stats", serve_stats),
            Route("/{path:path}", serve_page),
        ]
    )
    app.state.atlas = Atlas(index, check_rates(rates))
    app.state.ledger = ledger
    app.state.api_key = api_key
    app.state.attempts = Counter()
    return app


async def serve_search(request: Request) -> Response:
    """Answer `POST /search` as serper.dev does."""
    state = request.app.state
    content = await request.body()
    name = digest(content.decode(errors="replace"))
    state.ledger.add(f"search:{name}")
    if state.api_key and request.headers.get("x-api-key") != state.api_key:
        return _refuse(403, "Unauthorized.")
    try:
        query, num, page = parse_search(content)
    except InputError as error:
        return _refuse(400, str(error))
    state.attempts[name] += 1
    if state.attempts[name] == 1:
        if draw_share(state.atlas.rates, "http_429", name):
            return _refuse(429, "Too many requests.")
        if draw_share(state.atlas.rates, "http_500", name):
            return _refuse(500, "Internal server error.")
    asked = {**orjson.loads(content), "type": "search", "num": num, "page": page}
    found = state.atlas.search(query, num, page)
    credits = 1 if num <= DEFAULT_RESULTS else 2
    return _encode({"searchParameters": asked, **found, "credits": credits})


async def serve_page(request: Request) -> Response:
    """Answer a GET of the web, traps included."""
    atlas: Atlas = request.app.state.atlas
    kind, _, name = request.path_params["path"].partition("/")
    address = digest([request.url.path, request.url.query])
    request.app.state.ledger.add(f"{kind or 'home'}:{address}")
    if kind == "robots.txt":
        return Response("User-agent: *\nDisallow: /private/\n", media_type="text/plain")
    pdf = kind == "place" and name.endswith(".pdf")
    place = atlas.find_place(name.removesuffix(".pdf") if pdf else name)
    if place is None or kind == "missing" or (kind == "place" and atlas.is_pdf(place) != pdf):
        return HTMLResponse("<!doctype html><title>404</title><h1>Page not found</h1>", 404)
    if pdf:
        return Response(await atlas.read_pdf(place), media_type="application/pdf")
    match kind:
        case "place" | "private":
            return HTMLResponse(write_page(place, atlas.find_links(place)))
        case "moved":
            return RedirectResponse(_address(atlas.locate(place)), 301)
        case "large":
            return StreamingResponse(_stream_large(place), media_type="text/html")
        case "slow":
            return StreamingResponse(_stream_slowly(place), media_type="text/html")
        case "loop":
            step = "" if request.url.query else "?again=1"
            return RedirectResponse(_address(f"/loop/{quote(name, safe='')}{step}"), 302)
        case "inside":
            return RedirectResponse(INSIDE_URL, 302)
    return HTMLResponse("<!doctype html><title>404</title><h1>Page not found</h1>", 404)


async def serve_health(request: Request) -> Response:
    """Answer `GET /health`; neither this nor /stats stands in the ledger."""
    return _encode({"status": "ok"})


async def serve_stats(request: Request) -> Response:
    """Answer `GET /stats`: requests by kind, and how many of them differ."""
    ledger: Ledger = request.app.state.ledger
    kinds: Counter[str] = Counter()
    for entry, count in ledger.counts.items():
        kinds[entry.partition(":")[0]] += count
    return _encode({**ledger.summarise(), "kinds": dict(sorted(kinds.items()))})


def parse_search(content: bytes) -> tuple[str, int, int]:
    """A search request's query, results a page and page; raises InputError naming the field."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InputError(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict) or not isinstance(body.get("q"), str) or not body["q"].strip():
        raise InputError("Missing query parameter: send q, a text that is not empty")
    numbers = [body.get("num") or DEFAULT_RESULTS, body.get("page") or 1]
    for name, number, most in zip(("num", "page"), numbers, (MAX_RESULTS, 100), strict=True):
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= most:
            raise InputError(f"{name} must be an integer from 1 to {most}, got {number!r}")
    return body["q"], numbers[0], numbers[1]


def write_paragraphs(place: Place) -> list[str]:
    """A place's paragraphs: its own somewhere among four that say nothing of it."""
    start = hash_parts("filler", place.id)
    paragraphs = [FILLER[(start + step) % len(FILLER)] for step in range(4)]
    paragraphs.insert(hash_parts("order", place.id) % (len(paragraphs) + 1), place.text)
    return paragraphs


def write_page(place: Place, links: Sequence[Place]) -> str:
    """A place's page as HTML."""
    listed = [
        f'<li><a href="/place/{quote(other.id, safe="")}">{html.escape(other.title)}</a></li>'
        for other in links
    ]
    paragraphs = [f"<p>{html.escape(text)}</p>" for text in write_paragraphs(place)]
    return TEMPLATE.format(
        title=html.escape(place.title), links="\n".join(listed), paragraphs="\n".join(paragraphs)
    )


def draw_pdf(place: Place) -> bytes:
    """A place's page as PDF, its fonts embedded with their characters, the same bytes each time."""
    import matplotlib
    from matplotlib.figure import Figure

    lines: list[str] = []
    for paragraph in write_paragraphs(place):
        wrapped = textwrap.wrap(
            paragraph, PDF_COLUMNS, break_long_words=False, break_on_hyphens=False
        )
        lines += [*wrapped, ""]
    figure = Figure(figsize=PAGE)
    plain = {"verticalalignment": "top", "parse_math": False}
    figure.text(0.1, 0.92, place.title, fontsize=18, **plain)
    for number, line in enumerate(lines):
        figure.text(0.1, 0.87 - 0.022 * number, line, fontsize=11, **plain)
    content = io.BytesIO()
    # Type 42 is TrueType: text comes out as it went in, whatever its letters.
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(content, format="pdf", metadata={"Title": place.title, "CreationDate": None})
    return content.getvalue()


async def _stream_large(place: Place) -> AsyncIterator[bytes]:
    head, _, tail = write_page(place, ()).encode().partition(b"</article>")
    yield head
    block = b"".join(f"<p>{paragraph}</p>\n".encode() for paragraph in FILLER)
    chunk = block * (CHUNK_BYTES // len(block))
    for _ in range(LARGE_BYTES // len(chunk) + 1):
        yield chunk
    yield b"</article>" + tail


async def _stream_slowly(place: Place) -> AsyncIterator[bytes]:
    page = write_page(place, ()).encode()
    for number in range(SLOW_SECONDS):
        yield page[number % len(page) :][:1]
        await asyncio.sleep(1)


def _read_place(line: bytes) -> Place:
    passage = orjson.loads(line)
    title, _, text = str(passage["contents"]).partition("\n")
    links = tuple(map(str, passage.get("links") or ()))
    return Place(str(passage["id"]), title.strip('"'), " ".join(text.split()), links)


def _cut_snippet(place: Place) -> str:
    """What an engine shows of a page: all of it if it is short, its beginning, or its end."""
    sentences = SENTENCE_END.split(place.text)
    if len(sentences) == 1:
        return place.text
    match hash_parts("snippet", place.id) % 3:
        case 0 if len(sentences) == 2:
            return place.text
        case 1:
            return "... " + " ".join(sentences[-2 if len(sentences) > 2 else -1 :])
    return " ".join(sentences[: 2 if len(sentences) > 2 else 1]) + " ..."


def _names(words: str, place: Place) -> bool:
    """Whether a query holds a place's title, word for word."""
    return f" {place.title.lower()} " in f" {words.lower()} "


def _is_excluded(link: str, excluded: Sequence[str]) -> bool:
    parts = urlsplit(link)
    for site in excluded:
        host, slash, path = site.lower().partition("/")
        inside = parts.netloc == host or parts.netloc.endswith(f".{host}")
        if inside and parts.path.lower().startswith(slash + path):
            return True
    return False


def _address(path: str) -> str:
    return f"http://{HOST}{path}"


def _encode(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def _refuse(status: int, message: str) -> Response:
    """An error as serper.dev words it."""
    return _encode({"message": message, "statusCode": status}, status)


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="Serve the laptop's own web and its engine.")
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rates", type=json.loads, default={}, help="JSON: see RATES")
    parser.add_argument("--ledger", type=Path, help="file that counts requests")
    parser.add_argument("--api-key", default="", help="the only X-API-KEY that may search")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    index = BM25Index(args.index, args.corpus)
    app = make_app(index, args.rates, Ledger(args.ledger), args.api_key)
    logger.info("serving %d places on http://%s:%d", len(index), args.host, args.port)
    uvicorn.run(
        app,
        host=args.host,
        port=args.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


if __name__ == "__main__":
    cli.run(main)
