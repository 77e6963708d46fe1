"""The scripted teacher's next step for a tree question: level by level, the deepest first.

Invariant: what it goes by was read in this rollout, and a query is made of the constraints of one
level and of what was found on the level below.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from searchtrain.demo.descriptions import ATTRIBUTES, RELATIONS, Description, list_matches, list_met
from searchtrain.demo.passages import Facts
from searchtrain.demo.steps import GUESSES, Searches, Step
from searchtrain.demo.tree_questions import describe

MOST_QUERIES = 3
FACT = r"(?:latitude|longitude|currency code|continent|borders|capital) "
QUERY = re.compile(
    rf"(?P<kind>city|country)(?P<place> (?!{FACT}).+?)?"
    r"(?: latitude (?P<latitude>[\d.]+ [NS]))?(?: longitude (?P<longitude>[\d.]+ [EW]))?"
    r"(?: currency code (?P<currency_code>\w+))?"
    r"(?: continent (?P<continent>[A-Z]\w+(?: America)?))?"
    r"(?P<places>(?: (?:borders|capital) .+?)*)"
)
NAMED = re.compile(r" (borders|capital) (.+?)(?= borders | capital |$)")


def choose_tree_step(description: Description, facts: Facts, searches: Searches) -> Step:
    """Search for the deepest place that is not found yet, or answer; at last with a guess.

    A place that turned up in a search for another one is searched for all the same.
    `facts`: what was read so far, by title.
    """
    found: list[str] = []
    said = ""
    before = set(itertools.chain(*searches))
    for level in description.list_levels():
        wanted = _resolve(level, found)
        found = list_matches(level, facts)
        searched_for = bool(before & set(write_queries(wanted)))
        if found and searched_for:
            said = f"The {level.kind} is {found[0]}."
            continue
        for queries in _list_searches(level, wanted):
            fresh = tuple(query for query in queries if query not in before)
            if fresh:
                think = f"I need {describe(wanted[0])}."
                said = f"No passage shows the {level.kind}." if searched_for else said
                return Step(f"{said} {think}".strip(), queries=fresh, wants=description.kind)
        break
    else:
        return Step(said, answer=found[0], wants=description.kind)
    answer = guess_answer(description, facts) or GUESSES[description.kind][0]
    return Step("The passages do not show it.", answer=answer, wants=description.kind)


def guess_answer(description: Description, facts: Facts) -> str | None:
    """The place read so far that fits most of a description; None when none is of this kind."""
    places = list_matches(Description(description.kind), facts)
    return max(places, key=lambda title: sum(list_met(description, title, facts)), default=None)


def write_queries(wanted: Sequence[Description], *, joint: bool = False) -> list[str]:
    """One query for each place that may lead to what is wanted, with all its facts; with `joint`
    the places of each description together."""
    queries = []
    for each in wanted:
        parts = [f"{fact.replace('_', ' ')} {value}" for fact, value in each.attributes]
        tail = " ".join(parts)
        if each.kind == "city":
            names = [f" {place}" for _, place in each.relations] or [""]
            queries += [f"city{name} {tail}".strip() for name in names]
        else:
            places = [f"{fact} {place}" for fact, place in each.relations]
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


def _resolve(level: Description, found: Sequence[str]) -> list[Description]:
    """A level with each of the places found below it in turn in place of its description."""
    if level.find_described() is None:
        return [level]
    return [
        replace(
            level,
            relations=tuple(
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
