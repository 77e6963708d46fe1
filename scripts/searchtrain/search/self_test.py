"""Whether a retriever serves the corpus that it is said to serve, found out by asking it.

Passages are asked for by their titles and by how they begin, seed questions as they are. Published
runs went on for days with a retriever that answered junk (Search-R1's issues 75 and 155).
Invariant: what passes has found most of the passages that it was asked for, with the ids and the
text that they have, and not always the same ones; what does not is told with an example of what
was asked and what came.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from searchtrain.core.errors import InputError, SearchError
from searchtrain.data.answers import normalise_answer
from searchtrain.data.file_rows import is_parquet
from searchtrain.search import Search
from searchtrain.search.contents import split_contents
from searchtrain.search.corpus import adapt_passage, check_passage, parse_row, read_rows
from searchtrain.search.store import PassageIndex

PASSAGES = 16
"""That are asked for."""
QUESTIONS = 32
OWN = 4
"""Passages that the workflow's own retriever is asked for when it starts."""
WORDS = 40
"""With which a passage is asked for, after its title."""
DEPTH = 5
"""Passages asked for at least: of two any order is one."""
MOST = 0.5
"""Share that must come back: near duplicates and cut texts cost some."""
FEWEST = 12
"""Questions below which the share that is answered says nothing."""
SHORTEST = 3
"""Characters of an answer that is not in some passage by chance."""
REMEDY = "check retriever.endpoint, and that its index and its corpus belong together"

Passage = Mapping[str, Any]


class Question(NamedTuple):
    """A question whose answers are known."""

    text: str
    answers: tuple[str, ...]


def sample_passages(corpus: Path, count: int = PASSAGES) -> list[dict[str, Any]]:
    """Passages from all over a corpus, without reading all of it; of a packed one from its head.

    Raises InputError for a bad row.
    """
    if corpus.suffix == ".gz" or is_parquet(corpus):
        head = [passage for _, passage in islice(read_rows(corpus), 64 * count)]
        return head[:: max(1, len(head) // count)][:count]
    size, found = corpus.stat().st_size, {}
    with corpus.open("rb") as lines:
        for number in range(count):
            lines.seek(max(0, number * size // count - 1), os.SEEK_SET)
            if number:
                lines.readline()
            if line := lines.readline().strip():
                place = f"{corpus}: near byte {number * size // count}"
                passage = adapt_passage(parse_row(line, place))
                check_passage(passage, place)
                found[passage["id"]] = passage
    return list(found.values())


def ask_for(passage: Passage) -> str:
    """A query that this passage answers better than any other: its title and how it begins."""
    title, text = split_contents(passage)
    return f"{title} {' '.join(text.split()[:WORDS])}"


def check_own(index: PassageIndex) -> None:
    """Ask an index that is about to be served for a few of its own passages.

    Raises InputError when most are not found.
    """
    count = min(OWN, len(index))
    lines = [index.read_line(number * len(index) // count) for number in range(count)]
    passages = [orjson.loads(line) for line in lines]
    rankings = index.rank_all([ask_for(passage) for passage in passages], 3)
    missed = []
    for passage, ranking in zip(passages, rankings, strict=True):
        hits = [orjson.loads(index.read_line(place)) for place, _ in ranking]
        if passage["contents"] not in [hit["contents"] for hit in hits]:
            missed.append((ask_for(passage), hits))
    if len(missed) > MOST * count:
        query, hits = missed[0]
        raise InputError(
            f"retriever: {len(missed)} of {count} passages are not found by their own title and"
            f" beginning; asked {query[:60]!r}, it finds {_show(hits)}; check"
            " retriever.embedder (model, prefixes, max_tokens) and retriever.reranker"
        )


async def check_search(
    search: Search, topk: int, passages: Sequence[Passage], questions: Sequence[Question],
    answerable: float,
) -> str:  # fmt: skip
    """Ask a retriever, and say in a sentence what it found.

    `passages`: of its corpus; empty: those that it finds for the questions stand for them.
    `answerable`: least share of the questions whose answer stands in what is found. Raises
    SearchError of kind `contract` naming what was asked, what came and the remedy.
    """
    topk = max(topk, DEPTH)
    answers = await search.search([each.text for each in questions], topk) if questions else []
    own = not passages
    if own:
        found = {hit["contents"]: hit for hits in answers for hit in hits}
        passages = list(found.values())[:PASSAGES]
    asked = [ask_for(passage) for passage in passages]
    if not asked:
        if questions:
            raise _fail(f"asked {len(questions)} seed questions, it finds nothing")
        return "is not tested: there is neither data.corpus nor data.train to ask it for"
    openings = await search.search(asked, topk)
    _check_sense(asked, openings)
    again = await search.search(asked, topk)
    _check_found(passages, asked, openings, own)
    _check_order(passages, asked, openings, again)
    titles = await search.search([split_contents(each)[0] for each in passages], topk)
    said = [_count_titles(passages, titles)]
    if questions:
        _check_sense([each.text for each in questions], answers)
        said.append(_check_questions(questions, answers, answerable))
    source = "its own answers" if own else "data.corpus"
    return f"asked for {len(passages)} passages of {source}, it finds {' and '.join(said)}"


def _check_sense(asked: Sequence[str], answers: Sequence[Sequence[Passage]]) -> None:
    """Something is found, and not the same for everything."""
    empty = [query for query, hits in zip(asked, answers, strict=True) if not hits]
    if len(empty) > MOST * len(asked):
        raise _fail(f"asked {empty[0][:60]!r}, it finds nothing, nor for {len(empty) - 1} others")
    sets = {tuple(sorted(hit["contents"] for hit in hits)) for hits in answers}
    if len(set(asked)) > 2 and len(sets) <= max(1, len(set(asked)) // 8):
        raise _fail(
            f"{len(set(asked))} different queries get the same passages: {_show(answers[0])}"
        )


def _check_found(
    passages: Sequence[Passage], asked: Sequence[str], answers: Sequence[Sequence[Passage]],
    own: bool,
) -> None:  # fmt: skip
    """Most passages come back, with their own ids and texts."""
    missed, foreign = [], []
    for passage, query, hits in zip(passages, asked, answers, strict=True):
        same = [hit for hit in hits if split_contents(hit) == split_contents(passage)]
        if not same:
            missed.append((passage, query, hits))
        elif not any(_has_id(hit, passage) for hit in same):
            foreign.append((passage, same[0]))
    if len(missed) > MOST * len(passages):
        passage, query, hits = missed[0]
        twin = next((hit for hit in hits if hit["id"] == passage["id"]), None)
        where = "it found itself before" if own else "data.corpus has"
        other = f"; its passage {twin['id']!r} is {twin['contents'][:60]!r}" if twin else ""
        raise _fail(
            f"asked {query[:80]!r}, the title and beginning of the passage {passage['id']!r} that"
            f" {where}, it finds {_show(hits)}{other}; so for {len(missed)} of {len(passages)}:"
            " does it serve another corpus?"
        )
    if len(foreign) > MOST * (len(passages) - len(missed)):
        passage, hit = foreign[0]
        raise _fail(
            f"the passage {passage['contents'][:60]!r} has id {passage['id']!r} in data.corpus and"
            f" {hit['id']!r} there, and so {len(foreign)} of {len(passages)} have another id: does"
            " it serve another edition of the corpus?"
        )


def _check_order(
    passages: Sequence[Passage], asked: Sequence[str], answers: Sequence[Sequence[Passage]],
    again: Sequence[Sequence[Passage]],
) -> None:  # fmt: skip
    """The best comes first, and does so the next time."""
    first, found, changed, mixed = 0, 0, [], []
    for passage, query, hits, repeated in zip(passages, asked, answers, again, strict=True):
        texts, wanted = [split_contents(hit) for hit in hits], split_contents(passage)
        if wanted in texts:
            found += 1
            first += texts[0] == wanted
        if texts[:1] != [split_contents(hit) for hit in repeated[:1]]:
            changed.append(query)
        scores = [hit["score"] for hit in hits]
        if scores not in (sorted(scores), sorted(scores, reverse=True)):
            mixed.append((query, scores))
    if len(changed) > MOST / 2 * len(asked):
        raise _fail(f"asked {changed[0][:60]!r} twice, it finds something else the second time")
    if len(mixed) > MOST / 2 * len(asked):
        query, scores = mixed[0]
        raise _fail(
            f"asked {query[:60]!r}, the scores of what it finds are in no order"
            f" ({', '.join(f'{score:.3g}' for score in scores)})"
        )
    if first < MOST * found:
        raise _fail(
            f"of {found} passages asked for by their title and beginning {first} come first: what"
            " it finds is in no order"
        )


def _count_titles(passages: Sequence[Passage], answers: Sequence[Sequence[Passage]]) -> str:
    """How many titles are found; what cannot tell titles apart is left to the other checks."""
    wanted = [split_contents(passage)[0].casefold() for passage in passages]
    found = [{split_contents(hit)[0].casefold() for hit in hits} for hits in answers]
    known = sum(title in titles for title, titles in zip(wanted, found, strict=True))
    return f"{known} of {len(wanted)} titles"


def _check_questions(
    questions: Sequence[Question], answers: Sequence[Sequence[Passage]], answerable: float
) -> str:
    """Enough questions have their answer in what is found."""
    asked, held = 0, 0
    for question, hits in zip(questions, answers, strict=True):
        golds = [
            f" {gold} "
            for each in question.answers
            if len(gold := normalise_answer(each)) >= SHORTEST
        ]
        golds = [gold for gold in golds if gold.strip() not in ("yes", "no")]
        text = f" {normalise_answer(' '.join(hit['contents'] for hit in hits))} "
        asked += bool(golds)
        held += any(gold in text for gold in golds)
    said = f"the answers of {held} of {asked} seed questions"
    if asked >= FEWEST and held < answerable * asked:
        question = questions[0]
        raise SearchError(
            f"asked {asked} seed questions, what it finds holds the answers of {held}; for instance"
            f" {question.text[:80]!r} ({', '.join(question.answers[:2])}): {_show(answers[0])};"
            f" {REMEDY}, or lower retriever.answerable ({answerable:g}) where such questions need"
            " several searches",
            "contract",
        )
    return said


def _has_id(hit: Passage, passage: Passage) -> bool:
    """The same id, or none: the client names a passage without id by its text."""
    unnamed = sha256(str(hit["contents"]).encode()).hexdigest()[:16]
    return str(hit["id"]) in (str(passage["id"]), unnamed)


def _show(hits: Sequence[Passage]) -> str:
    return ", ".join(_list_titles(hits)) or "nothing"


def _list_titles(hits: Sequence[Passage]) -> Iterator[str]:
    for hit in hits[:3]:
        yield repr(split_contents(hit)[0][:60])


def _fail(said: str) -> SearchError:
    return SearchError(f"{said}; {REMEDY}", "contract")
