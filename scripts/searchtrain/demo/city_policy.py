"""The scripted teacher's next step for a question about named cities: one fact after the other.

Invariant: a thing is searched for by kind and name, then by name alone, and then given up.
"""

from collections.abc import Sequence

from searchtrain.demo.city_questions import QUESTION_TYPES, list_hops, parse_number
from searchtrain.demo.passages import FACT_NAMES, Facts
from searchtrain.demo.steps import GUESSES, Searches, Step


def choose_city_step(
    relation: str, cities: Sequence[str], facts: Facts, searches: Searches
) -> Step:
    """Look up the first fact on the way to the answer that is not read yet, or answer."""
    if QUESTION_TYPES[relation] == "comparison":
        return _compare(cities, facts, searches)
    title, said = cities[0], ""
    for kind, wants in list_hops(relation):
        if wants not in facts.get(title, {}):
            return _look_up(title, kind, wants, said, searches, facts)
        value = facts[title][wants]
        said, title = _say(title, wants, value), value
    return Step(said, answer=title, wants=wants)


def _look_up(
    title: str, kind: str, wants: str, said: str, searches: Searches, facts: Facts
) -> Step:
    """Search for one thing: first by kind and name, then by name alone, then give up."""
    before = {query for queries in searches for query in queries}
    for query in (f"{kind} {title}", title):
        if query in before:
            said = f"The passages do not tell me about {title}."
        else:
            think = f"{said} I need the {FACT_NAMES[wants]} of {title}.".strip()
            return Step(think, queries=(query,), wants=wants)
    values = [place[wants] for place in facts.values() if wants in place]
    return Step(said, answer=values[0] if values else GUESSES[wants][0], wants=wants)


def _compare(cities: Sequence[str], facts: Facts, searches: Searches) -> Step:
    """Look both cities up in one turn, then compare their populations."""
    before = {query for queries in searches for query in queries}
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


def _say(title: str, wants: str, value: str) -> str:
    """Spell out one fact in the teacher's words."""
    if wants == "country":
        return f"{title} is in {value}."
    return f"The {FACT_NAMES[wants]} of {title} is {value}."
