"""How well a node's claims describe it, measured by retrieval (InfoSeek's blurring condition).

The candidates of a claim are the passages that the retriever finds for it and that hold its terms,
and for a claim on an entity link to that entity's page. InfoSeek wants of a node's claims that
none alone leaves one candidate, that no candidate set lies inside another, and that together they
leave exactly one. Passages with one title are one candidate: they are parts of one article.
Invariant: a node's own page is always among its candidates.

Only terms that the node's own page holds count: a word of the claim's own ("lies") would tell
nothing of other pages. So the sets are rather too large, and what looks unique is.
"""

import asyncio
import functools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from searchtrain import config
from searchtrain.core.single_flight import SingleFlight
from searchtrain.search import Search
from searchtrain.search.contents import split_contents
from searchtrain.search.text import TERM, make_analyser
from searchtrain.trees.pages import Page, PageStore
from searchtrain.trees.tree import Node, TreeFault, replace_letter

NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)+")
"""A number of several parts ("45.1", "12,500", "3:15"), which stands for more than its parts."""
REMEMBERED = 50_000
"""Pages whose terms are kept in memory, least recently used first out."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A claim as other pages are held against it."""

    query: str
    """The claim without its own letter, an entity by its title."""
    terms: frozenset[str]
    """What a candidate's text must hold."""
    link: str
    """The page that a candidate must link to; empty for an attribute."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A page as conditions look at it."""

    terms: frozenset[str]
    links: frozenset[str]


class Quality:
    """Candidates by retrieval; whatever was found once is remembered."""

    def __init__(self, search: Search, pages: PageStore, settings: config.Trees) -> None:
        self._search = search
        self._pages = pages
        self._settings = settings
        self._analyser = make_analyser("english", "english")
        self._known: dict[tuple[Condition, ...], tuple[str, ...]] = {}
        self._foreign: dict[str, str] = {}
        """Titles of passages that the retriever knows and the corpus lacks."""
        self._flights: SingleFlight[tuple[str, ...]] = SingleFlight()
        self._read_facts = functools.lru_cache(maxsize=REMEMBERED)(self._read_facts_uncached)

    async def count_candidates(self, node: Node) -> int:
        """How many articles fit all claims of a node.

        Raises TreeFault (`untraceable`, `over_determined`, `implied`), or SearchError.
        """
        conditions = [
            self.state_condition(node, child, node.claim_on(child)) for child in node.children
        ]
        sets = await asyncio.gather(*(self._find([condition]) for condition in conditions))
        if len(conditions) > 1 or node.children[0].entity is None:
            self._check_blurring(node, conditions, sets)
        articles = self._group_by_title([*sets, await self._find(conditions)])
        fitting = {
            title
            for title, parts in articles.items()
            if all(any(self._fits(part, condition) for part in parts) for condition in conditions)
        }
        return len(fitting | {self._title_of(node.page)})

    def state_condition(self, node: Node, child: Node, claim: str) -> Condition:
        """What a claim asks of a page; raises TreeFault `untraceable` if its own page fails.

        The page must hold most words of the claim, and of numbers and names every one.
        """
        page = self._pages[node.page]
        held = self._facts_of(page).terms
        bare = replace_letter(claim, node.id, "")
        title = child.entity or ""
        own = replace_letter(bare, child.id, "") if title else bare
        words = set(self._split(own))
        letters = {node.id, child.id} if title else {node.id}
        strange = {
            word
            for word in _list_specific(claim, letters)
            if not held.issuperset(self._split(word))
        }
        enough = len(words & held) >= self._settings.trace_share * len(words)
        if strange or not enough or not (words or title):
            what = f", which does not hold {', '.join(sorted(strange))}" if strange else ""
            raise TreeFault(
                f"The claim {claim[:80]!r} does not follow from page {page.id!r}{what}.",
                "untraceable",
            )
        query = replace_letter(bare, child.id, title) if title else bare
        terms = words.union(self._split(title)) & held
        return Condition(" ".join(query.split()), frozenset(terms), child.page if title else "")

    def _check_blurring(
        self, node: Node, conditions: Sequence[Condition], sets: Sequence[tuple[str, ...]]
    ) -> None:
        claims = list(map(node.claim_on, node.children))
        for claim, found in zip(claims, sets, strict=True):
            if {self._title_of(name) for name in found} <= {self._title_of(node.page)}:
                raise TreeFault(
                    f"The claim {claim[:80]!r} alone fits a single page; state a weaker fact.",
                    "over_determined",
                )
        for i, found in enumerate(sets):
            parts = self._group_by_title([found]).values()
            for j, other in enumerate(conditions):
                # A set may be cut at topk, so that pages are tested and not looked up in it.
                if i != j and all(any(self._fits(name, other) for name in part) for part in parts):
                    raise TreeFault(
                        f"Whatever fits {claims[i][:80]!r} fits {claims[j][:80]!r}, too; state"
                        " an independent fact.",
                        "implied",
                    )

    async def _find(self, conditions: Sequence[Condition]) -> tuple[str, ...]:
        """Ids of the pages that one query of all the conditions finds and that fit them all."""
        key = tuple(conditions)
        if key not in self._known:
            self._known[key] = await self._flights.join(key, lambda: self._ask(conditions))
        return self._known[key]

    async def _ask(self, conditions: Sequence[Condition]) -> tuple[str, ...]:
        query = " ".join(condition.query for condition in conditions)
        (hits,) = await self._search.search([query], self._settings.topk)
        foreign = (hit for hit in hits if hit["id"] not in self._pages)
        self._foreign.update((hit["id"], split_contents(hit)[0]) for hit in foreign)
        return tuple(hit["id"] for hit in hits if self._fits_all(hit["id"], conditions, hit))

    def _fits_all(
        self, name: str, conditions: Sequence[Condition], hit: dict[str, Any] | None = None
    ) -> bool:
        return all(self._fits(name, condition, hit) for condition in conditions)

    def _fits(self, name: str, condition: Condition, hit: dict[str, Any] | None = None) -> bool:
        facts = self._read_facts(name)
        if facts is None:
            # The retriever knows a passage that the corpus lacks: a rival, so far as it says.
            if hit is None:
                return True
            facts = self._facts_of(Page(name, *split_contents(hit)))
        if condition.link and condition.link not in facts.links:
            return False
        held = len(condition.terms & facts.terms)
        return held >= math.ceil(self._settings.term_share * len(condition.terms) - 1e-9)

    def _group_by_title(self, sets: Iterable[Iterable[str]]) -> dict[str, list[str]]:
        """Passages that were found, by the title of their article."""
        articles: dict[str, list[str]] = {}
        for name in dict.fromkeys(chain.from_iterable(sets)):
            articles.setdefault(self._title_of(name), []).append(name)
        return articles

    def _title_of(self, name: str) -> str:
        return self._foreign[name] if name in self._foreign else self._pages[name].title

    def _facts_of(self, page: Page) -> Facts:
        return Facts(frozenset(self._split(page.text)), frozenset(page.links))

    def _split(self, text: str) -> list[str]:
        return self._analyser.split(text) + NUMBER.findall(text)

    def _read_facts_uncached(self, name: str) -> Facts | None:
        page = self._pages.read(name)
        return None if page is None else self._facts_of(page)


def _list_specific(claim: str, letters: set[str]) -> list[str]:
    """Numbers and capitalised words, without letters of nodes and the claim's first word."""
    return [
        word[0]
        for word in chain(TERM.finditer(claim), NUMBER.finditer(claim))
        if word[0] not in letters
        and (any(map(str.isdigit, word[0])) or (word.start() > 0 and word[0][0].isupper()))
    ]
