"""Which pages become the roots of trees, and so the answers of questions.

Roots are drawn from the whole corpus, or, when a task allows only its seed data, are passages that
hold seed answers. Invariant: no root is named in a held-out question, and the draw is a function of
the seed alone, so that a larger number of trees begins with the smaller one's.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from searchtrain.core.errors import InputError
from searchtrain.search import Search
from searchtrain.trees.names import find_name, list_names, split_words
from searchtrain.trees.pages import Page, PageStore

logger = logging.getLogger(__name__)

LONGEST = 8
"""Words of a title that are compared with held-out questions."""
HITS = 10
"""Passages that are looked at for one seed answer."""
CHUNK = 64
"""Seed answers that are searched for at a time."""


class HeldOut:
    """Held-out questions, asked whether they name a title."""

    def __init__(self, questions: Iterable[str]) -> None:
        self._phrases = {
            phrase for text in questions for phrase in _list_phrases(split_words(text))
        }

    def names(self, page: Page) -> bool:
        """Whether a question holds one of the page's names, word for word."""
        return any(
            " ".join(split_words(name)[:LONGEST]) in self._phrases
            for name in list_names(page.title, page.aliases)
        )


class RootDraw:
    """Draws valid roots and counts why others were passed over."""

    def __init__(self, pages: PageStore, held_out: HeldOut, min_text: int) -> None:
        """`min_text`: characters that a root's text must exceed (InfoSeek: 10)."""
        self.passed_over: Counter[str] = Counter()
        self._pages = pages
        self._held_out = held_out
        self._min_text = min_text

    def draw_from_corpus(self, count: int, seed: int) -> list[Page]:
        """Draw `count` different pages; fewer, with a warning, when the corpus has no more."""
        order = np.random.default_rng(seed).permutation(len(self._pages))
        valid = (page for page in map(self._pages.read_at, map(int, order)) if self._accept(page))
        return self._take(valid, count, "pages of the corpus")

    async def draw_from_answers(
        self, answers: Sequence[str], count: int, seed: int, search: Search
    ) -> list[Page]:
        """Draw pages that hold `answers`: one with the answer as its title, else as a word of its
        text. Raises SearchError."""
        order = sorted(dict.fromkeys(answers))
        random.Random(seed).shuffle(order)
        taken: dict[str, Page] = {}
        for begin in range(0, len(order), CHUNK):
            if len(taken) >= count:
                break
            chunk = order[begin : begin + CHUNK]
            hits = await asyncio.gather(*(search.search([text], HITS) for text in chunk))
            for answer, (found,) in zip(chunk, hits, strict=True):
                page = self._choose([hit["id"] for hit in found], answer)
                if page is None:
                    self.passed_over["not_found"] += 1
                elif page.id in taken:
                    self.passed_over["repeated"] += 1
                elif self._accept(page):
                    taken[page.id] = page
        return self._take(iter(taken.values()), count, "pages that hold seed answers")

    def _choose(self, names: Sequence[str], answer: str) -> Page | None:
        pages = [page for page in map(self._pages.read, names) if page is not None]
        wanted = split_words(answer)
        for page in pages:
            if any(split_words(name) == wanted for name in list_names(page.title, page.aliases)):
                return page
        return next((page for page in pages if wanted and find_name(page.text, [answer])), None)

    def _accept(self, page: Page) -> bool:
        faults = {
            "short_text": len(page.text) <= self._min_text,
            "no_links": not page.links,
            "in_held_out_question": self._held_out.names(page),
        }
        fault = next((name for name, holds in faults.items() if holds), "")
        if fault:
            self.passed_over[fault] += 1
        return not fault

    def _take(self, valid: Iterator[Page], count: int, what: str) -> list[Page]:
        roots = list(islice(valid, count))
        if len(roots) < count:
            passed = ", ".join(f"{kind} {n}" for kind, n in self.passed_over.most_common()) or "-"
            if not roots:
                raise InputError(
                    f"trees: none of the {what} can be a root ({passed}); give other passages or"
                    " lower trees.min_text"
                )
            logger.warning(
                "trees.count is %d but only %d %s can be roots (%s): all are taken",
                count, len(roots), what, passed,
            )  # fmt: skip
        return roots


def _list_phrases(words: Sequence[str]) -> Iterator[str]:
    for begin in range(len(words)):
        for end in range(begin + 1, min(begin + LONGEST, len(words)) + 1):
            yield " ".join(words[begin:end])
