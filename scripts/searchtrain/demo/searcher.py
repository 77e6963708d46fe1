"""How the scripted agent and refiner deal with tree questions: level by level, the deepest first.

Invariant: what the agent goes by was read in this rollout, and a query is made of the constraints
of one level and of what was found on the level below.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from searchtrain.demo.reading import read_text
from searchtrain.demo.script import Step
from searchtrain.demo.tree_language import (
    ATTRIBUTES,
    RELATIONS,
    Description,
    Facts,
    describe,
    list_matches,
    list_values,
)
from searchtrain.demo.world import COUNTRY_FACTS

MOST_QUERIES = 3
MOST_NEAR_MISSES = 2
WORDS = {"borders": "borders", "capital": "capital", "currency_code": "currency code"}
"""How a query words a fact, where not by the fact's own name."""
FACT = r"(?:latitude|longitude|currency code|continent|borders|capital) "
QUERY = re.compile(
    rf"(?P<kind>city|country)(?P<place> (?!{FACT}).+?)?"
    r"(?: latitude (?P<latitude>[\d.]+ [NS]))?(?: longitude (?P<longitude>[\d.]+ [EW]))?"
    r"(?: currency code (?P<currency_code>\w+))?"
    r"(?: continent (?P<continent>[A-Z]\w+(?: America)?))?"
    r"(?P<places>(?: (?:borders|capital) .+?)*)"
)
NAMED = re.compile(r" (borders|capital) (.+?)(?= borders | capital |$)")

Document = tuple[int, str, str]
"""Number, title and text."""


def choose_tree_step(
    description: Description, facts: Facts, asked: Sequence[tuple[str, ...]]
) -> Step:
    """Search for the deepest place that is not found yet, or answer.

    A place that turned up in a search for another one is searched for all the same.

    `facts`: what was read so far, by title; `asked`: the queries of every searching turn.
    """
    found: list[str] = []
    said = ""
    before = {query for queries in asked for query in queries}
    for level in description.list_levels():
        wanted = _resolve(level, found)
        found = list_matches(level, facts)
        asked_for = bool(before & set(write_queries(wanted)))
        if found and asked_for:
            said = f"The {level.kind} is {found[0]}."
            continue
        for queries in _list_searches(level, wanted):
            fresh = tuple(query for query in queries if query not in before)
            if fresh:
                think = f"I need {describe(wanted[0])}."
                said = f"No passage shows the {level.kind}." if asked_for else said
                return Step(f"{said} {think}".strip(), queries=fresh, wants=description.kind)
        break
    else:
        return Step(said, answer=found[0], wants=description.kind)
    answer = guess_answer(description, facts)
    return Step("The passages do not show it.", answer=answer, wants=description.kind)


def guess_answer(description: Description, facts: Facts) -> str | None:
    """The place read so far that fits most of what is known; None when none is of this kind."""
    places = list_matches(Description(description.kind), facts)
    found = set(list_matches(description, facts))

    def count(title: str) -> tuple[bool, int]:
        return title in found, sum(_list_met(description, title, facts))

    return max(places, key=count, default=None)


def write_queries(wanted: Sequence[Description], *, joint: bool = False) -> list[str]:
    """One query for each place that may lead to what is wanted, with all its facts; with `joint`
    the places of each description together."""
    queries = []
    for each in wanted:
        parts = [f"{WORDS.get(fact, fact)} {value}" for fact, value in each.attributes]
        tail = " ".join(parts)
        if each.kind == "city":
            names = [f" {place}" for _, place in each.relations] or [""]
            queries += [f"city{name} {tail}".strip() for name in names]
        else:
            places = [f"{WORDS[fact]} {place}" for fact, place in each.relations]
            places = [" ".join(places)] if joint or not places else places
            queries += [" ".join(f"country {tail} {place}".split()) for place in places]
    return list(dict.fromkeys(queries))[:MOST_QUERIES]


def read_query(query: str) -> Description | None:
    """The constraints that a query of `write_queries` is made of; None for any other."""
    match = QUERY.fullmatch(query)
    if match is None:
        return None
    parts = {name: value for name, value in match.groupdict().items() if value}
    kind = parts["kind"]
    attributes = tuple((fact, parts[fact]) for fact in ATTRIBUTES[kind] if fact in parts)
    relations = tuple(NAMED.findall(parts.get("places", ""))) if kind == "country" else ()
    if kind == "city" and "place" in parts:
        relations = (("country", parts["place"].strip()),)
    if not attributes and not relations:
        return None
    return Description(kind, attributes, relations)


def choose_tree_evidence(
    wanted: Description, question: Description, documents: Sequence[Document]
) -> Iterator[tuple[int, str]]:
    """Of every document that fits a query, and of the nearest that do not quite, what matters.

    Yields (place in `documents`, text) pairs, those that fit first.
    """
    mentioned = {
        fact
        for level in question.list_levels()
        for fact, _ in (*level.attributes, *level.relations)
    }
    ranked = []
    for place, (_, title, text) in enumerate(documents):
        facts, evidence = read_text(text)
        met = _list_met(wanted, title, {title: facts})
        if any(met) and list_matches(Description(wanted.kind), {title: facts}):
            # Of a snippet that is cut everything matters.
            if wanted.kind == "country" or {"country", "population"} <= set(facts):
                evidence = _state_facts(facts, mentioned)
            ranked.append((len(met) - sum(met), place, evidence))
    near = 0
    for missing, place, evidence in sorted(ranked):
        near += missing > 0
        if near <= MOST_NEAR_MISSES:
            yield place, evidence


def list_key_points(description: Description) -> list[str]:
    """What must be known to answer: names and facts of the question, the deepest first."""
    points = [
        value
        for level in description.list_levels()
        for _, value in (*level.relations, *level.attributes)
        if isinstance(value, str)
    ]
    return list(dict.fromkeys([*points, description.kind, "place"]))[: max(2, min(4, len(points)))]


def _resolve(level: Description, found: Sequence[str]) -> list[Description]:
    """A level with each of the places found below it in turn in place of its description."""
    if level.find_described() is None:
        return [level]
    return [
        Description(
            level.kind,
            level.attributes,
            tuple(
                (fact, place if isinstance(place, str) else title)
                for fact, place in level.relations
            ),
        )
        for title in found
    ]


def _list_searches(level: Description, wanted: Sequence[Description]) -> Iterator[Sequence[str]]:
    """Queries to try in turn, the best first."""
    yield write_queries(wanted)
    yield write_queries(wanted, joint=True)
    # With the facts one by one, a rare one among them may find what all together do not.
    for fact, value in level.attributes:
        yield write_queries(
            [Description(level.kind, ((fact, value),), each.relations) for each in wanted]
        )
    # The pages that lead to it: a country that it borders lists it, too.
    names = [place for each in wanted for fact, place in each.relations if fact in RELATIONS]
    yield [f"country {name}" for name in dict.fromkeys(names)][:MOST_QUERIES]


def _list_met(description: Description, title: str, facts: Facts) -> list[bool]:
    """Which constraints a place meets, one by one."""
    place = facts[title]
    met = [place.get(fact) == value for fact, value in description.attributes]
    for fact, other in description.relations:
        titles: Collection[str] = [other] if isinstance(other, str) else list_matches(other, facts)
        met.append(any(value in titles for value in list_values(place, fact)))
    return met


def _state_facts(facts: Mapping[str, str], mentioned: Collection[str]) -> str:
    """Facts in the words of the passages, so that they can be read as these are."""
    if "country" in facts:
        sentences = [f"A city in {facts['country']} with {facts['population']} people."]
        details = ("latitude", "longitude")
        sentences += [f"{name.capitalize()} {facts[name]}." for name in details if name in facts]
        return " ".join(sentences)
    kept = [fact for fact in COUNTRY_FACTS if fact in mentioned and fact in facts]
    return " ".join(["A country.", *(COUNTRY_FACTS[fact].format(facts[fact]) for fact in kept)])
