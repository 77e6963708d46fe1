"""What the scripted teacher does next: look up the next missing thing, or answer.

Invariant: it goes by what was read in this rollout; what it cannot find it guesses. For a question
about named cities a thing is searched for by kind and name, then by name alone, then given up.
"""

import itertools
import re
from collections.abc import Sequence

from searchtrain.demo.city_questions import (
    QUESTION_TYPES,
    list_hops,
    parse_city_question,
    parse_number,
)
from searchtrain.demo.facts import read_facts
from searchtrain.demo.passages import FACT_NAMES, Facts, Passages
from searchtrain.demo.steps import GUESSES, Searches, Step, guess
from searchtrain.demo.tree_policy import choose_tree_step, guess_answer
from searchtrain.demo.tree_questions import parse_tree_question

SPOKEN = {**FACT_NAMES, "name": "English name"}
"""How one speaks of a fact; `name` is what the harder world's pages are called."""
YEAR = re.compile(r"\b(?:1\d|20)\d\d\b")
NAME = re.compile(r"[A-Z][a-z]+(?: [A-Z][a-z]+)+")


def choose_step(
    question: str, passages: Passages, searches: Searches, *, careful: bool = False
) -> Step:
    """Choose the next step from what was read: look up the next missing thing, or answer.

    `careful`: a country that is the answer is looked up, too, for what it is called in English.
    """
    facts = read_facts(passages)
    if parsed := parse_city_question(question):
        relation, cities = parsed
        if QUESTION_TYPES[relation] == "comparison":
            return _compare(relation, cities, facts, searches)
        hops = list_hops(relation)
        if careful and hops[-1][1] == "country":
            hops = [*hops, ("country", "name")]
        return _follow_hops(hops, cities, facts, searches)
    if tree := parse_tree_question(question):
        return choose_tree_step(tree, facts, searches)
    return _choose_open_step(question, passages, searches)


def choose_answer(question: str, passages: Passages) -> str:
    """The best answer that can be given without another search."""
    answer = choose_step(question, passages, ()).answer
    if answer is None and (tree := parse_tree_question(question)):
        answer = guess_answer(tree, read_facts(passages))
    elif answer is None and parse_city_question(question) is None:
        answer = _choose_open_step(question, passages, (("",),)).answer
    return guess(name_final_fact(question), question, 0) if answer is None else answer


def name_final_fact(question: str) -> str:
    """The fact that a question asks for in the end; a country when it is foreign."""
    if parsed := parse_city_question(question):
        comparison = QUESTION_TYPES[parsed[0]] == "comparison"
        return "country" if comparison else list_hops(parsed[0])[-1][1]
    tree = parse_tree_question(question)
    return tree.kind if tree else "country"


def _follow_hops(
    hops: Sequence[tuple[str, str]], cities: Sequence[str], facts: Facts, searches: Searches
) -> Step:
    """Look up the first fact on the way to the answer that is not read yet, or answer."""
    title, said = cities[0], ""
    for kind, wants in hops:
        if wants not in facts.get(title, {}):
            return _look_up(title, kind, wants, said, searches, facts)
        value = facts[title][wants]
        said = f"The {SPOKEN[wants]} of {title} is {value}."
        if wants == "country":
            said = f"{title} is in {value}."
        title = value
    return Step(said, answer=title, wants=wants)


def _look_up(
    title: str, kind: str, wants: str, said: str, searches: Searches, facts: Facts
) -> Step:
    before = set(itertools.chain(*searches))
    for query in (f"{kind} {title}", title):
        if query in before:
            said = f"The passages do not tell me about {title}."
        else:
            think = f"{said} I need the {SPOKEN[wants]} of {title}.".strip()
            return Step(think, queries=(query,), wants=wants)
    values = [place[wants] for place in facts.values() if wants in place]
    return Step(said, answer=values[0] if values else GUESSES[wants][0], wants=wants)


def _compare(_: str, cities: Sequence[str], facts: Facts, searches: Searches) -> Step:
    """Look both cities up in one turn, then compare their populations."""
    before = set(itertools.chain(*searches))
    missing = [city for city in cities if "population" not in facts.get(city, {})]
    for prefix in ("city ", ""):
        queries = tuple(f"{prefix}{city}" for city in missing if f"{prefix}{city}" not in before)
        if queries:
            names = " and of ".join(missing)
            return Step(f"I need the population of {names}.", queries=queries)
    shown = [city for city in cities if city not in missing]
    if not shown:
        return Step(f"The passages do not tell me about {cities[0]}.", answer=GUESSES["country"][0])
    parts = []
    for city in shown:
        country, people = facts[city]["country"], facts[city]["population"]
        digits = sum(map(str.isdigit, people))
        parts.append(f"{city} in {country} has {people} people, {digits} digits.")
    best = max(shown, key=lambda city: parse_number(facts[city]["population"]))
    country = facts[best]["country"]
    place = "first" if best == cities[0] else "second"
    parts.append(f"The larger is the {place}, in {country}.")
    return Step(" ".join(parts), answer=country)


def _choose_open_step(question: str, passages: Passages, searches: Searches) -> Step:
    """A question of another world: search for it as it stands, then answer from the top passage."""
    if not searches:
        return Step("I search for the question itself.", queries=(" ".join(question.split()),))
    if not passages:
        return Step("No passage helps.", answer="unknown", wants="country")
    title, (text, *_) = next(iter(passages.items()))
    lowered = question.lower()
    found = None
    if lowered.startswith("when") or " year" in lowered:
        found = YEAR.search(text)
    elif lowered.startswith("who"):
        found = NAME.search(text)
    return Step(f"The first passage is about {title}.", answer=found[0] if found else title)
