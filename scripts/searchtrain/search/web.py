"""Searches the web: a Serper-compatible engine for the hits, the pages themselves for the text.

Invariant: what is excluded is neither shown nor fetched, whatever the engine answers and wherever
a page redirects to; a page that failed is shown as the engine's snippet, never as an error text.
"""

import asyncio
import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from searchtrain import config
from searchtrain.core.errors import PageError
from searchtrain.core.files import digest
from searchtrain.models.request_cache import RequestCache
from searchtrain.search import Search
from searchtrain.search.exclusion import Exclusion, make_exclusion
from searchtrain.search.extract import Extractors
from searchtrain.search.pages import PageReader, parse_address
from searchtrain.search.passages import choose_passage
from searchtrain.search.serper import SerperClient

QUERY_WORDS = 32
"""Google ignores what comes after so many words, operators counted."""
EMPHASIS = re.compile(r"</?(?:b|i|u|em|strong|mark|span|wbr|br)(?:\s[^<>]*)?/?>", re.IGNORECASE)
CUT = ("...", "\u2026")
"""How an engine ends a title that it has shortened."""

Passage = dict[str, Any]


class WebSearch(Search):
    """Search over the web; `usage` counts what SerperClient and PageReader count."""

    def __init__(
        self,
        url: str,
        settings: config.Web,
        cache: RequestCache,
        hosts: Mapping[str, str] | None = None,
        *,
        backoff: float = 0.5,
        extractors: Extractors | None = None,
    ) -> None:
        """Make a searcher; nothing is sent yet. Raises InputError for a setting or a missing key.

        `url`: the engine's. `hosts` stands in for `settings.pages.hosts`. `backoff`: seconds
        before the second attempt. `extractors`, if given, stay the caller's.
        """
        self.settings = settings
        self.usage: Counter[str] = Counter()
        self._excluded = (*settings.exclude, *settings.benchmark_hosts)
        make_exclusion(self._excluded)  # raises for a bad entry
        self._engine = SerperClient(url, settings, cache, self.usage, backoff)
        self._pages = PageReader(
            settings.pages,
            cache,
            hosts=hosts,
            offline=settings.offline,
            usage=self.usage,
            extractors=extractors,
        )

    async def search(
        self, queries: Sequence[str], topk: int, exclude: Sequence[str] = ()
    ) -> list[list[Passage]]:
        """See `Search.search`; passages also have `url`, `snippet`, `date`, `kind`, `page_error`.

        `page_error` is "" or the kind of the PageError for which the text is only the engine's
        snippet. Raises SearchError, and ServiceError when the engine refuses the key.
        """
        exclude = tuple(entry for entry in exclude if entry.strip())
        excluded = make_exclusion((*self._excluded, *exclude))
        operators = make_exclusion((*self.settings.exclude, *exclude)).list_operators()
        return await asyncio.gather(
            *(self._answer(query, topk, excluded, operators) for query in queries)
        )

    def stop(self) -> None:
        """See `Search.stop`; pages are not begun either."""
        self._engine.stop()
        self._pages.stop()

    async def close(self) -> None:
        """Close the connections and end the worker processes."""
        await self._engine.close()
        await self._pages.close()

    def cost(self) -> float:
        """US dollars spent by this client."""
        return self._engine.cost()

    def report(self) -> dict[str, Any]:
        """The counts and what they cost, for a stage's report."""
        return {**dict(sorted(self.usage.items())), "dollars": round(self.cost(), 6)}

    async def _answer(
        self, query: str, topk: int, excluded: Exclusion, operators: Sequence[str]
    ) -> list[Passage]:
        """Search once, leave out what is excluded, and read the first `topk` pages."""
        room = max(0, QUERY_WORDS - len(query.split()))
        response = await self._engine.search(" ".join([query, *operators[:room]]))
        hits = list_hits(response, self.settings.answer_box, self.settings.knowledge_graph)
        shown = [hit for hit in hits if not excluded.excludes(*hit.links)][:topk]
        filled = await asyncio.gather(*(self._fill(hit, query, excluded) for hit in shown))
        passages = [passage for passage in filled if passage is not None]
        return [{**passage, "score": 1 / rank} for rank, passage in enumerate(passages, 1)]

    async def _fill(self, hit: "Hit", query: str, excluded: Exclusion) -> Passage | None:
        """A hit as a passage, with its page's text if it can be read; None if nothing is left."""
        text, title, fault = hit.text, hit.title, ""
        if hit.kind == "organic" and self.settings.pages.read:
            try:
                page = await self._pages.read(hit.url, excluded)
            except PageError as error:
                if error.kind == "blocked":
                    return None  # the snippet, too, is the excluded page's
                fault = error.kind
            else:
                text = choose_passage(page.text, hit.text, query, self.settings.pages.passage_chars)
                title = page.title if page.title and (not title or title.endswith(CUT)) else title
        if not text:
            return None
        return {
            "id": hit.id,
            "contents": f'"{title or hit.host}"\n{text}',
            "score": 0.0,
            "url": hit.url,
            "snippet": hit.text,
            "date": hit.date,
            "kind": hit.kind,
            "page_error": fault,
        }


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that the engine shows for a query."""

    kind: str
    """`organic`, `answer_box` or `knowledge_graph`."""
    title: str
    text: str
    """The engine's own words."""
    url: str
    """"" if it has none."""
    links: tuple[str, ...]
    """Every URL that it comes from."""
    date: str

    @property
    def id(self) -> str:
        """The URL; for what is no page, a name that depends on what it says."""
        if self.kind == "organic":
            return self.url
        return f"{self.kind}:{digest([self.title, self.text])[:16]}"

    @property
    def host(self) -> str:
        """Stands for a missing title."""
        return httpx2.URL(self.url).host if self.url else self.kind.replace("_", " ")


def list_hits(response: Mapping[str, Any], answer_box: bool, knowledge_graph: bool) -> list[Hit]:
    """The hits of a response in the order in which a result page shows them, each URL once."""
    hits: dict[str, Hit] = {}
    box, graph = response.get("answerBox"), response.get("knowledgeGraph")
    if answer_box and isinstance(box, Mapping):
        said = strip_fields(box, "answer", "snippet")
        hits["box"] = make_hit("answer_box", box, dict.fromkeys(said), "link")
    if knowledge_graph and isinstance(graph, Mapping):
        said = strip_fields(graph, "type", "description")
        attributes = graph.get("attributes")
        if isinstance(attributes, Mapping):
            said += [f"{name}: {strip_markup(value)}" for name, value in attributes.items()]
        hits["graph"] = make_hit("knowledge_graph", graph, said, "descriptionLink", "website")
    for row in response.get("organic", ()):
        hit = make_hit("organic", row, strip_fields(row, "snippet"), "link")
        hits.setdefault(hit.url, hit)
    return [hit for hit in hits.values() if (hit.url if hit.kind == "organic" else hit.text)]


def make_hit(kind: str, shown: Mapping[str, Any], said: Iterable[str], *links: str) -> Hit:
    """A hit that says the lines `said`; `links`: its fields with links, the main one first."""
    found = tuple(filter(None, (read_link(shown.get(key)) for key in links)))
    title, date = strip_fields(shown, "title", "date")
    return Hit(kind, title, "\n".join(filter(None, said)), found[0] if found else "", found, date)


def strip_fields(shown: Mapping[str, Any], *keys: str) -> list[str]:
    """The plain text of some fields."""
    return [strip_markup(shown.get(key)) for key in keys]


def read_link(value: Any) -> str:
    """A link to a page of the web, or ""."""
    if not isinstance(value, str):
        return ""
    try:
        parse_address(value)
    except PageError:
        return ""
    return value.strip()


def strip_markup(value: Any) -> str:
    """One line of plain text from what an engine marks up with tags and entities."""
    if value is None or isinstance(value, list | dict):
        return ""
    return " ".join(html.unescape(EMPHASIS.sub("", str(value))).split())
