"""Tree questions: they describe the place that is the answer.

By facts, by named places, and by at most one place that is itself only described, which comes last:

    Which city at latitude 46 N is in the country that borders Andorra and borders the country that
    has as its capital Brussels?

Invariant: what `write_tree_question` writes, `parse_tree_question` reads back.
"""

import functools
import re
from collections.abc import Iterator

from searchtrain.demo.descriptions import RELATIONS, Description, list_matches
from searchtrain.demo.passages import Facts

CLAUSES = {
    "currency_code": "has the currency code {}",
    "continent": "is on the continent {}",
    "borders": "borders {}",
    "capital": "has as its capital {}",
}
"""How a question words a fact of a country."""

PHRASINGS = {
    "city": (
        "Which city{place} is in {country}?",
        "Name the city{place} in {country}.",
        "What is the name of the city{place} in {country}?",
    ),
    "country": (
        "Which country {clauses}?",
        "Name the country that {clauses}.",
        "What is the name of the country that {clauses}?",
    ),
}

QUESTION = re.compile(
    r"Which city(?P<place>| at .*?) is in (?P<country>.+)\?"
    r"|Name the city(?P<place2>| at .*?) in (?P<country2>.+)\."
    r"|What is the name of the city(?P<place3>| at .*?) in (?P<country3>.+)\?"
    r"|Which country (?P<clauses>.+)\?"
    r"|Name the country that (?P<clauses2>.+)\."
    r"|What is the name of the country that (?P<clauses3>.+)\?"
)
PLACE = re.compile(
    r" at (?:latitude (?P<latitude>[\d.]+ [NS])(?: and longitude (?P<longitude>[\d.]+ [EW]))?"
    r"|longitude (?P<longitude2>[\d.]+ [EW]))"
)
NEXT = r"(?: and (?=has the currency code |is on the continent |borders |has as its capital )|$)"
CLAUSE = re.compile(
    rf"has the currency code (?P<currency_code>\w+){NEXT}"
    rf"|is on the continent (?P<continent>[A-Z][A-Za-z ]+?){NEXT}"
    r"|borders the country that (?P<described_country>.+)$"
    r"|has as its capital the city(?P<described_city> at .+)$"
    rf"|borders (?P<borders>[^a-z ].*?){NEXT}"
    rf"|has as its capital (?P<capital>.+?){NEXT}"
)


def write_tree_question(description: Description, number: int = 0) -> str:
    """Ask for what is described; `number` chooses the phrasing."""
    phrasings = PHRASINGS[description.kind]
    phrasing = phrasings[number % len(phrasings)]
    if description.kind == "country":
        return phrasing.format(clauses=_write_clauses(description))
    [(fact, country)] = description.relations
    if fact != "country":
        raise ValueError(f"a question for a city names its country, not its {fact}")
    return phrasing.format(place=_write_place(description), country=_write_name(country))


def describe(description: Description) -> str:
    """A description as a noun phrase."""
    if description.kind == "country":
        return f"the country that {_write_clauses(description)}"
    inside = "".join(f" in {_write_name(place)}" for _, place in description.relations)
    return f"the city{_write_place(description)}{inside}"


@functools.lru_cache(maxsize=65536)
def parse_tree_question(text: str) -> Description | None:
    """What a tree question asks for; None for any other question."""
    match = QUESTION.fullmatch(text.strip())
    if match is None:
        return None
    parts = {name.rstrip("23"): value for name, value in match.groupdict().items() if value}
    if "clauses" in parts:
        return _parse_clauses(parts["clauses"])
    attributes = _parse_place(parts.get("place", ""))
    country = _parse_country(parts["country"])
    if attributes is None or country is None:
        return None
    return Description("city", attributes, (("country", country),))


def find_answers(question: str, facts: Facts) -> list[str]:
    """The titles of all places that fit a tree question, in the order of the facts.

    Raises ValueError for another question.
    """
    description = parse_tree_question(question)
    if description is None:
        raise ValueError(f"{question!r} is no tree question of this world")
    return list_matches(description, facts)


def _write_place(description: Description) -> str:
    parts = [f"{fact} {value}" for fact, value in description.attributes]
    return f" at {' and '.join(parts)}" if parts else ""


def _write_clauses(description: Description) -> str:
    return " and ".join(_list_clauses(description))


def _list_clauses(description: Description) -> Iterator[str]:
    for fact, value in description.attributes:
        yield CLAUSES[fact].format(value)
    for fact, place in description.relations:
        yield CLAUSES[fact].format(_write_name(place))


def _write_name(place: str | Description) -> str:
    return place if isinstance(place, str) else describe(place)


def _parse_place(text: str) -> tuple[tuple[str, str], ...] | None:
    if not text:
        return ()
    match = PLACE.fullmatch(text)
    if match is None:
        return None
    return tuple((fact.rstrip("2"), value) for fact, value in match.groupdict().items() if value)


def _parse_country(text: str) -> "str | Description | None":
    marker = "the country that "
    return _parse_clauses(text[len(marker) :]) if text.startswith(marker) else text


def _parse_clauses(text: str) -> Description | None:
    attributes: list[tuple[str, str]] = []
    relations: list[tuple[str, str | Description]] = []
    while text:
        match = CLAUSE.match(text)
        if match is None:
            return None
        fact, value = next((name, value) for name, value in match.groupdict().items() if value)
        if fact == "described_country":
            if (inner := _parse_clauses(value)) is None:
                return None
            relations.append(("borders", inner))
        elif fact == "described_city":
            if not (place := _parse_place(value)):
                return None
            relations.append(("capital", Description("city", place)))
        elif fact in RELATIONS:
            relations.append((fact, value))
        else:
            attributes.append((fact, value))
        text = text[match.end() :]
    return Description("country", tuple(attributes), tuple(relations))
