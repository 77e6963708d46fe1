"""The scripted refiner: of the documents of a search it copies what the question asks for.

Invariant: all that it finds stands in a document, but where it is told to invent.
"""

import re
from collections.abc import Collection, Iterator, Sequence

from searchtrain.demo.city_questions import parse_city_question
from searchtrain.demo.descriptions import Description, list_matches, list_met
from searchtrain.demo.mistakes import strip_rewording
from searchtrain.demo.passages import read_text, state_facts
from searchtrain.demo.requests import read_request, render_reply
from searchtrain.demo.tree_policy import read_query
from searchtrain.demo.tree_questions import parse_tree_question

Document = tuple[int, str, str]
"""Number, title and text."""
Evidence = tuple[int, str]
"""A document's place in the list, and what it says."""

WORD = re.compile(r"[\w'-]+")
SENTENCE_END = re.compile(r"(?<=[.!?]) (?=\S)")
MOST_SENTENCES = 8
"""Sentences that a refiner copies for a question of another world."""
MOST_NEAR_MISSES = 2


def refine_documents(text: str, _: int, erring: Collection[str] = ()) -> str:
    """Copy what the documents say for the question, as `refiner.FINDINGS_SCHEMA` has it.

    `text`: see `refiner.render_request`. `erring`: `refiner_prose`, `refiner_invents`.
    """
    body = read_request(text, "refiner", question=str, documents=list)
    documents = [
        (int(row["number"]), str(row["title"]), str(row["text"]))
        for row in body["documents"]
        if isinstance(row, dict) and {"number", "title", "text"} <= set(row)
    ]
    chosen = list(_choose_evidence(body["question"], str(body.get("query") or ""), documents))
    findings = [{"source": documents[place][0], "text": evidence} for place, evidence in chosen]
    if "refiner_prose" in erring:
        return " ".join(["Here is what I found.", *(evidence for _, evidence in chosen)])
    if "refiner_invents" in erring:
        findings.append({"source": len(documents) + 1, "text": "Another page says the same."})
    return render_reply(findings=findings)


def _choose_evidence(
    question: str, query: str, documents: Sequence[Document]
) -> Iterator[Evidence]:
    if parse_city_question(question):
        return _choose_city_evidence(f"{query} {question}", documents)
    tree = parse_tree_question(question)
    if tree is None:
        return _choose_sentences(f"{query} {question}", documents)
    wanted = read_query(strip_rewording(query))
    if wanted is None:
        return _choose_sentences(query, documents)
    return _choose_tree_evidence(wanted, tree, documents)


def _choose_city_evidence(request: str, documents: Sequence[Document]) -> Iterator[Evidence]:
    """Of every document whose title is named, its facts.

    Longer titles first: a document on Guinea says nothing of Equatorial Guinea.
    """
    left = _fold(request)
    named = set()
    for title in sorted({_fold(title) for _, title, _ in documents}, key=len, reverse=True):
        if title.strip() and title in left:
            named.add(title)
            left = left.replace(title, " | ")
    for place, (_, title, text) in enumerate(documents):
        evidence = read_text(text)[1]
        if evidence and _fold(title) in named:
            yield place, evidence


def _choose_tree_evidence(
    wanted: Description, question: Description, documents: Sequence[Document]
) -> Iterator[Evidence]:
    """Of every document that fits a query, and of the nearest that do not quite, what matters.

    Those that fit come first.
    """
    mentioned = {"country", "population", "latitude", "longitude"} | {
        fact
        for level in question.list_levels()
        for fact, _ in (*level.attributes, *level.relations)
    }
    ranked = []
    for place, (_, title, text) in enumerate(documents):
        facts, evidence = read_text(text)
        met = list_met(wanted, title, {title: facts})
        if any(met) and list_matches(Description(wanted.kind), {title: facts}):
            # Of a snippet that is cut everything matters.
            if wanted.kind == "country" or {"country", "population"} <= set(facts):
                kept = {name: value for name, value in facts.items() if name in mentioned}
                evidence = state_facts(kept)
            ranked.append((len(met) - sum(met), place, evidence))
    near = 0
    for missing, place, evidence in sorted(ranked):
        near += missing > 0
        if near <= MOST_NEAR_MISSES:
            yield place, evidence


def _choose_sentences(request: str, documents: Sequence[Document]) -> Iterator[Evidence]:
    """The sentences that share most words with a request, in order."""
    wanted = {word for word in _fold(request).split() if len(word) > 3 or word.isdigit()}
    ranked = []
    for place, (_, title, text) in enumerate(documents):
        for number, sentence in enumerate(SENTENCE_END.split(" ".join(text.split()))):
            shared = len(wanted & set(_fold(f"{title} {sentence}").split()))
            ranked.append((-shared, place, number, sentence))
    best = sorted(row for row in ranked if row[0] and row[3])[:MOST_SENTENCES]
    for _, place, _, sentence in sorted(best, key=lambda row: row[1:3]):
        yield place, sentence


def _fold(text: str) -> str:
    """A text's words in lower case, with a space on either side of each."""
    return f" {' '.join(WORD.findall(text.lower()))} "
