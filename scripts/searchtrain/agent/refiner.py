"""Compress what a search returned to what matters for the question (SimpleDeepSearcher's
summariser, InfoSeeker's refiner).

The refiner sees the question, the query and the passages and names the passage behind each thing
it says, so its result is passages again: fewer, shorter, with their ids. Unlike SimpleDeepSearcher
it is shown the question, and what fails is never shown as text. Invariant: every refined passage
is one of those that the search returned.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from searchtrain.core.errors import ModelError, ReplyError, SearchTrainError
from searchtrain.models.asker import Asker
from searchtrain.models.model import Model
from searchtrain.search.contents import split_contents

Passage = Mapping[str, Any]

FINDINGS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"source": {"type": "integer"}, "text": {"type": "string"}},
                "required": ["source", "text"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["findings"],
    "additionalProperties": False,
}
"""What a refiner is asked for: each finding with the number of its document, from 1."""

SOME = 50
"""Refinements that are always allowed before the share of failures is looked at."""
LEAST_CHARS = 200
"""A passage cut shorter than this tells nothing: fewer passages are shown instead."""


@dataclass(frozen=True, slots=True)
class Refined:
    """What a query's observation shows, best first, and why it was not refined if it was not."""

    passages: list[dict[str, Any]]
    error: ModelError | None = None


class Refiner:
    """Asks the role `refiner`; safe for thousands of concurrent callers."""

    def __init__(
        self,
        model: Model,
        system: str,
        *,
        seed: int,
        max_document_chars: int,
        max_failed_share: float,
    ) -> None:
        """`system`: rendered prompt. `max_document_chars`: of one passage as the refiner sees it.
        `max_failed_share`: of the refinements that may fail, 0 to 1."""
        self.model = model
        self.failures: Counter[str] = Counter()
        self.refined = 0
        self._asker = Asker(model, system, FINDINGS_SCHEMA, repairs=1)
        self._seed = seed
        self._max_document_chars = max_document_chars
        self._max_failed_share = max_failed_share

    async def refine(
        self, question: str, query: str, passages: Sequence[Passage], budget: int
    ) -> Refined:
        """Refine what `query` returned; passages that say nothing for the question are left out.

        When the model fails, the passages come back as they are, cut to `budget` characters.
        Raises SearchTrainError when more refinements fail than allowed.
        """
        if not passages:
            return Refined([])
        request = render_request(question, query, passages, self._max_document_chars)
        try:
            refined = await self._asker.ask(
                request, lambda value: read_findings(value, passages), seed=self._seed
            )
        except ModelError as error:
            self._count(error)
            return Refined(cut_passages(passages, budget), error)
        self.refined += 1
        return Refined(refined)

    def _count(self, error: ModelError) -> None:
        self.failures[error.kind] += 1
        failed = self.failures.total()
        if failed > self._max_failed_share * max(self.refined + failed, SOME):
            kinds = ", ".join(f"{kind} {count}" for kind, count in self.failures.most_common())
            raise SearchTrainError(
                f"{failed} of {self.refined + failed} refinements failed ({kinds}), more than"
                f" refine.max_failed_share allows; the last: {error}"
            )


def render_request(
    question: str, query: str, passages: Sequence[Passage], max_document_chars: int
) -> str:
    """The refiner's user message, one JSON object, so that no page can pose as another."""
    documents = []
    for number, passage in enumerate(passages, 1):
        title, text = split_contents(passage)
        documents.append({"number": number, "title": title, "text": text[:max_document_chars]})
    return orjson.dumps({"question": question, "query": query, "documents": documents}).decode()


def read_findings(value: Mapping[str, Any], passages: Sequence[Passage]) -> list[dict[str, Any]]:
    """Turn a refiner's object into passages, in the order in which it first names them.

    Raises ReplyError with kind `schema` for a document number that does not exist.
    """
    texts: dict[int, list[str]] = {}
    for finding in value["findings"]:
        number, text = finding["source"], " ".join(finding["text"].split())
        if not 1 <= number <= len(passages):
            raise ReplyError(
                f"The finding {text[:60]!r} names document {number};"
                f" there are documents 1 to {len(passages)}.",
                "schema",
            )
        if text:
            texts.setdefault(number, []).append(text)
    return [_replace_text(passages[number - 1], " ".join(texts[number])) for number in texts]


def cut_passages(passages: Sequence[Passage], budget: int) -> list[dict[str, Any]]:
    """The first passages with their texts cut to equal shares of `budget` characters."""
    count = max(1, min(len(passages), budget // LEAST_CHARS))
    share = budget // count
    cut = []
    for passage in passages[:count]:
        title, text = split_contents(passage)
        # The line that a passage stands in names its title and number, too.
        cut.append(_replace_text(passage, text[: max(0, share - len(title) - 24)].rstrip()))
    return cut


def _replace_text(passage: Passage, text: str) -> dict[str, Any]:
    title, _, _ = str(passage["contents"]).partition("\n")
    return {**passage, "contents": f"{title}\n{text}"}
