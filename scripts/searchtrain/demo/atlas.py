"""The atlas: every passage of a corpus as a place of the laptop's own web, address and page.

Pages are HTML with navigation, scripts and a cookie banner, or PDFs. Invariant: a page says what
its passage says, among paragraphs that say nothing of the place; whether it is a PDF depends on the
passage's id and the rates only.
"""

import asyncio
import functools
import html
import io
import textwrap
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from searchtrain.demo.draws import draw_share, hash_parts
from searchtrain.demo.passages import Passage

HOST = "atlas.test"
"""The web's only host; .test is reserved and never resolves (RFC 2606)."""
LARGE_BYTES = 30_000_000
CHUNK_BYTES = 1 << 16
SLOW_SECONDS = 600
"""How long a slow page goes on."""
PDF_COLUMNS = 76
A4 = (8.27, 11.69)
"""A4 in inches."""

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


class Atlas:
    """All places, and what the rates make of them."""

    def __init__(self, lines: Iterable[bytes], rates: Mapping[str, float]) -> None:
        """Read every passage; a corpus of millions of passages is not for this server."""
        self.rates = rates
        self.places = [Passage.from_row(orjson.loads(line)) for line in lines]
        self.by_id = {place.id: place for place in self.places}

    def find_links(self, place: Passage) -> list[Passage]:
        """The places that a place links to, as far as they have a page."""
        return [self.by_id[name] for name in place.links if name in self.by_id]

    def is_pdf(self, place: Passage) -> bool:
        """Whether a place exists as PDF only."""
        return draw_share(self.rates, "pdf", place.id)

    def locate(self, place: Passage) -> str:
        """The address of a place's page."""
        return write_address("place", place.id, ".pdf" if self.is_pdf(place) else "")


def write_address(kind: str, name: str, ending: str = "") -> str:
    """The address of a page of some kind on a place."""
    return f"http://{HOST}/{kind}/{quote(name, safe='')}{ending}"


def write_paragraphs(place: Passage) -> list[str]:
    """A place's paragraphs: its own somewhere among four that say nothing of it."""
    start = hash_parts("filler", place.id)
    paragraphs = [FILLER[(start + step) % len(FILLER)] for step in range(4)]
    paragraphs.insert(hash_parts("order", place.id) % (len(paragraphs) + 1), place.text)
    return paragraphs


def write_page(place: Passage, links: Sequence[Passage]) -> str:
    """A place's page as HTML."""
    listed = [
        f'<li><a href="/place/{quote(other.id, safe="")}">{html.escape(other.title)}</a></li>'
        for other in links
    ]
    paragraphs = [f"<p>{html.escape(text)}</p>" for text in write_paragraphs(place)]
    return TEMPLATE.format(
        title=html.escape(place.title), links="\n".join(listed), paragraphs="\n".join(paragraphs)
    )


@functools.cache
def draw_pdf(place: Passage) -> bytes:
    """A place's page as PDF, its fonts embedded with their characters, the same bytes each time.

    matplotlib wants it one at a time.
    """
    import matplotlib
    from matplotlib.figure import Figure

    wrap = textwrap.TextWrapper(PDF_COLUMNS, break_long_words=False, break_on_hyphens=False).wrap
    lines = [line for paragraph in write_paragraphs(place) for line in (*wrap(paragraph), "")]
    figure = Figure(figsize=A4)
    plain: dict[str, Any] = {"verticalalignment": "top", "parse_math": False}
    figure.text(0.1, 0.92, place.title, fontsize=18, **plain)
    for number, line in enumerate(lines):
        figure.text(0.1, 0.87 - 0.022 * number, line, fontsize=11, **plain)
    content = io.BytesIO()
    # Type 42 is TrueType: text comes out as it went in, whatever its letters.
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(content, format="pdf", metadata={"Title": place.title, "CreationDate": None})
    return content.getvalue()


async def stream_large(place: Passage) -> AsyncIterator[bytes]:
    """A page of at least `LARGE_BYTES`."""
    head, _, tail = write_page(place, ()).encode().partition(b"</article>")
    yield head
    block = b"".join(f"<p>{paragraph}</p>\n".encode() for paragraph in FILLER)
    chunk = block * (CHUNK_BYTES // len(block))
    for _ in range(LARGE_BYTES // len(chunk) + 1):
        yield chunk
    yield b"</article>" + tail


async def stream_slowly(place: Passage) -> AsyncIterator[bytes]:
    """A page that sends a byte a second."""
    page = write_page(place, ()).encode()
    for number in range(SLOW_SECONDS):
        yield page[number % len(page) :][:1]
        await asyncio.sleep(1)
