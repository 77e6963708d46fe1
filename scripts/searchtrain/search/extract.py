"""Text out of HTML and PDF, in processes of their own that are killed when they take too long.

Pages are hostile input to large parsers. Invariant: whatever a page does to its worker (hang,
crash, eat memory), its caller gets a PageError and every other page its text; the workers are
gone when their owner is, however it ends.
"""

import asyncio
import codecs
import multiprocessing
import os
import re
import resource
import sys
from collections.abc import Callable
from concurrent.futures import TimeoutError as WorkTimeout
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from searchtrain.core.errors import PageError
from searchtrain.serving.process import end_with_parent

Result = TypeVar("Result")

HTML = ("text/html", "application/xhtml+xml")
PDF = "application/pdf"

VERSION = 1
"""Raise it when the same bytes give another text: pages in the cache are then read again."""
TEXT_CHARS = 1_000_000
"""A page's text is cut here; long before, passages stop being worth their search."""
TITLE_CHARS = 300
MAIN_TEXT_CHARS = 2_000_000
"""Of longer HTML the articles' and paragraphs' text is taken as it stands: trafilatura's search for
the main text takes quadratic time in the number of paragraphs (3 s for so much)."""
TIME_LIMIT_S = 20.0
MEMORY_BYTES = 4 << 30
"""Address space of a worker; a page at the size limit needs about a tenth of it."""
TASKS = 1000
"""Pages after which a worker is replaced: parsers leak."""

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SEVEN_BIT = re.compile(r"iso-2022|hz|utf-?16|utf-?32", re.IGNORECASE)
"""Encodings whose bytes may pass for ASCII or UTF-8."""
ALIASES = {"iso-8859-1": "cp1252", "latin1": "cp1252", "ascii": "cp1252", "us-ascii": "cp1252"}
ALIASES |= {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc-kr": "cp949"}
"""What browsers take these names for (the WHATWG encoding standard)."""
LAST_LATIN = "\u024f"
META_BYTES = 4096
META = re.compile(
    rb"""<meta[^>]{1,200}charset\s*=\s*["']?\s*([\w.:-]+)|<\?xml[^>]{1,200}encoding=["']([\w.-]+)""",
    re.IGNORECASE,
)
XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
BODY = re.compile(r"<(html|body)\b", re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
LINE_HYPHEN = re.compile(r"[\x02\ufffe\u00ad]\n?")
"""pdfium marks a word that goes on in the next line by U+0002 or U+FFFE."""


class Extractors:
    """A pool of worker processes, started by the first page."""

    def __init__(self, workers: int, time_limit: float = TIME_LIMIT_S) -> None:
        """`time_limit`: seconds for one page, the wait for a free worker not counted."""
        self._time_limit = time_limit
        self._pool = ProcessPool(
            workers,
            max_tasks=TASKS,
            initializer=set_up_worker,
            context=multiprocessing.get_context("spawn"),
        )

    async def run(self, url: str, function: Callable[..., Result], *args: Any) -> Result:
        """Call a module-level function in a worker.

        Raises PageError of kind `unreadable`, in passing when the worker died of something that
        may not have been the page's fault (a signal, the memory of the machine).
        """
        future = self._pool.schedule(function, args=args, timeout=self._time_limit)
        passing = False
        try:
            return await asyncio.wrap_future(future)
        except (WorkTimeout, TimeoutError):
            fault = f"no text after {self._time_limit:g} s"
        except ProcessExpired as error:
            fault, passing = f"the worker died: {error}", True
        except PageError:
            raise
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"[:200]
        message = f"{url}: its text cannot be extracted ({fault})"
        raise PageError(message, "unreadable", passing=passing)

    def close(self) -> None:
        """Stop the workers; what they still do is lost."""
        self._pool.stop()
        self._pool.join()


def set_up_worker() -> None:
    """In a new worker: end with the owner, bound the memory, load the parsers."""
    end_with_parent()
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    # A terminal's or a batch system's signal to the group is for the owner to hear.
    os.setpgid(0, 0)
    import pypdfium2  # noqa: F401
    import trafilatura  # noqa: F401


def extract_page(body: bytes, content_type: str, charset: str, pdf_pages: int) -> tuple[str, str]:
    """Title and text of a page; both may be empty, the text has at most TEXT_CHARS characters."""
    if content_type == PDF:
        title, text = extract_pdf(body, pdf_pages)
    elif content_type in HTML:
        title, text = extract_html(decode(body, charset))
    else:
        title, text = "", decode(body, charset)
    return " ".join(clean(title).split())[:TITLE_CHARS], clean(text)[:TEXT_CHARS].strip()


def extract_html(html: str) -> tuple[str, str]:
    """Title and main text, tables included; without navigation, scripts and comments.

    Recall before precision: the passage that is shown is chosen later, and what is missing here
    cannot be chosen.
    """
    import trafilatura
    from trafilatura.settings import Document

    html = XML_DECLARATION.sub("", html)
    if not BODY.search(html):
        html = f"<html><body>{html}</body></html>"
    tree = trafilatura.load_html(html)
    if tree is None:
        return "", ""
    titles = tree.xpath("//meta[@property='og:title']/@content|//title/text()|//h1//text()")
    title = next((str(text) for text in titles if text.strip()), "")
    found = None
    if len(html) <= MAIN_TEXT_CHARS:
        found = trafilatura.bare_extraction(
            tree, favor_recall=True, include_comments=False, include_tables=True
        )
    main = found.text if isinstance(found, Document) else ""
    return title, main or trafilatura.baseline(html)[1]


def extract_pdf(body: bytes, pages: int) -> tuple[str, str]:
    """Title (the metadata's, else the first line) and the text of the first `pages` pages."""
    import pypdfium2

    with pypdfium2.PdfDocument(body) as document:
        title = document.get_metadata_dict(skip_empty=True).get("Title", "")
        parts: list[str] = []
        for number in range(min(pages, len(document))):
            page = document[number]
            sheet = page.get_textpage()
            parts.append(sheet.get_text_bounded())
            sheet.close()
            page.close()
            if sum(map(len, parts)) > TEXT_CHARS:
                break
    text = LINE_HYPHEN.sub("", "\n\n".join(parts).replace("\r\n", "\n"))
    return title.strip() or text.strip().partition("\n")[0], text


def decode(body: bytes, charset: str) -> str:
    """Bytes to text, as a browser would but for one thing: valid UTF-8 is UTF-8 whatever it says.

    `charset`: the header's, or "". Raises ValueError for what is no text.
    """
    for bom, name in BOMS:
        if body.startswith(bom):
            return body.decode(name, "replace")
    named = META.search(body[:META_BYTES])
    meta = (named[1] or named[2]).decode() if named else ""
    if not SEVEN_BIT.search(charset or meta):
        if b"\0" in body[:META_BYTES]:
            raise ValueError("binary content")
        try:
            return body.decode()
        except UnicodeDecodeError:
            pass
    for name in (charset, meta):
        name = name.strip().lower()
        try:
            if name:
                return body.decode(ALIASES.get(name, name), "replace")
        except (LookupError, UnicodeError):
            continue
    return body.decode(guess_charset(body), "replace")


def guess_charset(body: bytes) -> str:
    """The likeliest encoding of bytes that name none and are not UTF-8.

    A guess is good for scripts of their own; among Latin ones it is not, and western is likeliest.
    """
    import charset_normalizer

    best = charset_normalizer.from_bytes(body[: 1 << 16]).best()
    letters = [char for char in str(best) if not char.isascii() and char.isalpha()]
    if best is None or sum(char > LAST_LATIN for char in letters) <= len(letters) / 2:
        return "cp1252"
    return best.encoding


def clean(text: str) -> str:
    """Text that is valid UTF-8, without control characters and needless white space."""
    text = CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = text.encode("utf-8", "replace").decode()
    text = re.sub(r"[^\S\n]+", " ", text)
    return re.sub(r" ?\n ?(\n ?)*", lambda run: "\n\n" if run[0].count("\n") > 1 else "\n", text)
