"""Tree questions: they describe the place that is the answer.

By facts, by named places, and by at most one place that is itself only described, which comes last:

    Which city at latitude 46 N is in the country that borders Andorra and borders the country that
    has as its capital Brussels?

Invariant: what `write_tree_question` writes, `parse_tree_question` reads back.
"""

import functools
import itertools
import re

from searchtrain.demo.descriptions import RELATIONS, Description
from searchtrain.demo.passages import compile_phrasing

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

PATTERNS = [
    compile_phrasing(phrasing, place="| at .*?", country=".+", clauses=".+")
    for phrasing in itertools.chain(*PHRASINGS.values())
]
DESCRIBED = "the country that "
PLACE = re.compile(
    r" at (?=l)(?:latitude (?P<latitude>[\d.]+ [NS])(?: and (?=l)|$))?"
    r"(?:longitude (?P<longitude>[\d.]+ [EW]))?"
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
    return phrasing.format(place=_write_place(description), country=describe(country))


def describe(place: str | Description) -> str:
    """A description as a noun phrase; a name stays as it is."""
    if isinstance(place, str):
        return place
    if place.kind == "country":
        return f"{DESCRIBED}{_write_clauses(place)}"
    inside = "".join(f" in {describe(other)}" for _, other in place.relations)
    return f"the city{_write_place(place)}{inside}"


@functools.lru_cache(maxsize=65536)
def parse_tree_question(text: str) -> Description | None:
    """What a tree question asks for; None for any other question."""
    matches = (pattern.fullmatch(text.strip()) for pattern in PATTERNS)
    match = next(filter(None, matches), None)
    if match is None:
        return None
    parts = match.groupdict()
    if "clauses" in parts:
        return _parse_clauses(parts["clauses"])
    attributes, name = _parse_place(parts["place"]), parts["country"]
    country = _parse_clauses(name.removeprefix(DESCRIBED)) if name.startswith(DESCRIBED) else name
    if attributes is None or country is None:
        return None
    return Description("city", attributes, (("country", country),))


def _write_place(description: Description) -> str:
    parts = [f"{fact} {value}" for fact, value in description.attributes]
    return f" at {' and '.join(parts)}" if parts else ""


def _write_clauses(description: Description) -> str:
    facts = (*description.attributes, *description.relations)
    return " and ".join(CLAUSES[fact].format(describe(value)) for fact, value in facts)


def _parse_place(text: str) -> tuple[tuple[str, str], ...] | None:
    if not text:
        return ()
    match = PLACE.fullmatch(text)
    return tuple(pair for pair in match.groupdict().items() if pair[1]) if match else None


def _parse_clauses(text: str) -> Description | None:
    attributes: list[tuple[str, str]] = []
    relations: list[tuple[str, str | Description]] = []
    while text:
        match = CLAUSE.match(text)
        if match is None:
            return None
        fact, value = next((name, value) for name, value in match.groupdict().items() if value)
        place: str | Description | None = value
        if fact == "described_country":
            fact, place = "borders", _parse_clauses(value)
        elif fact == "described_city":
            inside = _parse_place(value)
            fact, place = "capital", Description("city", inside) if inside else None
        if place is None:
            return None
        if fact in RELATIONS:
            relations.append((fact, place))
        else:
            attributes.append((fact, value))
        text = text[match.end() :]
    return Description("country", tuple(attributes), tuple(relations))
