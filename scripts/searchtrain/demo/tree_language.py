"""The language of research trees over the laptop world: claims, tree questions, and what fits them.

A claim speaks of nodes by letter ("A is a city in B."). A tree question describes its answer by
facts, by named places, and by at most one place that is itself only described, which comes last:

    Which city at latitude 46 N is in the country that borders Andorra and borders the country that
    has as its capital Brussels?

Invariant: what `write_question` writes, `parse_question` reads back, and `find_answers` knows
nothing but the question and the facts: it tries every place.
"""

import functools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from searchtrain.demo.world import SEPARATOR

Facts = Mapping[str, Mapping[str, str]]
"""What passages say, by title (`world.World.facts`)."""

CLAIMS = {
    "country": "{parent} is a city in {value}.",
    "capital": "The capital of {parent} is {value}.",
    "borders": "{parent} borders {value}.",
    "latitude": "{parent} lies at latitude {value}.",
    "longitude": "{parent} lies at longitude {value}.",
    "currency_code": "{parent} has the currency code {value}.",
    "continent": "{parent} is on the continent {value}.",
}
"""How a claim words a fact of its parent; the value of a relation is a child's letter."""

RELATIONS = {"country": "country", "capital": "city", "borders": "country"}
"""Facts that lead to another passage, and what that is."""
ATTRIBUTES = {"city": ("latitude", "longitude"), "country": ("currency_code", "continent")}
"""Facts that lead nowhere, in the order in which a question names them."""

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


@dataclass(frozen=True, slots=True)
class Description:
    """A place as a question describes it."""

    kind: str
    """`city` or `country`."""
    attributes: tuple[tuple[str, str], ...] = ()
    """(fact, value) pairs."""
    relations: tuple[tuple[str, "str | Description"], ...] = ()
    """(fact, place) pairs: a title, or another description."""

    def find_described(self) -> "Description | None":
        """The description inside this one, if there is one."""
        return next((place for _, place in self.relations if not isinstance(place, str)), None)

    def list_levels(self) -> "list[Description]":
        """This description and those inside it, the innermost first."""
        inner = self.find_described()
        return [*(inner.list_levels() if inner else ()), self]


def read_claim(claim: str, parent: str, target: str = "") -> tuple[str, str] | None:
    """The fact that a claim states of `parent`, and its value; None for another claim.

    `parent`, `target`: letters; the value of a relation is `target`.
    """
    for fact, pattern in CLAIM_PATTERNS:
        match = pattern.fullmatch(claim.strip())
        if match is None or match["parent"] != parent:
            continue
        if fact not in RELATIONS or match["value"] == target:
            return fact, match["value"]
    return None


def read_tree(tree: Mapping[str, Any], kind: str | None = None) -> Description:
    """What a tree whose hidden names are null says of its root, without naming that.

    `tree`: a node as JSON. `kind`: what the node is, if that is known. Raises ValueError for a
    claim of another language, and for a node with two children that are only described.
    """
    attributes, relations = [], []
    root = kind is None
    children = {child["id"]: child for child in tree.get("children") or ()}
    for claim in tree.get("claims") or ():
        child = children.get(claim["target_id"])
        read = read_claim(claim["claim"], tree["id"], claim["target_id"])
        if child is None or read is None:
            raise ValueError(f"{claim['claim']!r} is no claim of this world on {tree['id']}")
        fact, value = read
        if fact not in RELATIONS:
            attributes.append((fact, value))
        elif child.get("entity"):
            relations.append((fact, child["entity"]))
        else:
            relations.append((fact, read_tree(child, RELATIONS[fact])))
    facts = [fact for fact, _ in (*attributes, *relations)]
    if kind is None:
        kind = "city" if {"country", *ATTRIBUTES["city"]} & set(facts) else "country"
    allowed = ATTRIBUTES["city"] if kind == "city" else tuple(CLAUSES)
    if root and kind == "city":
        allowed = ("country", *allowed)
    described = [place for _, place in relations if not isinstance(place, str)]
    if not facts or not set(facts) <= set(allowed) or len(described) > 1:
        raise ValueError(f"node {tree['id']}: no question of this world describes it")
    attributes.sort(key=lambda pair: ATTRIBUTES[kind].index(pair[0]))
    relations.sort(key=lambda pair: not isinstance(pair[1], str))
    return Description(kind, tuple(attributes), tuple(relations))


def write_question(description: Description, number: int = 0) -> str:
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
def parse_question(text: str) -> Description | None:
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
    description = parse_question(question)
    if description is None:
        raise ValueError(f"{question!r} is no tree question of this world")
    return list_matches(description, facts)


def list_matches(description: Description, facts: Facts) -> list[str]:
    """The titles of all places that fit a description, in the order of the facts."""
    allowed = [
        (fact, [place] if isinstance(place, str) else list_matches(place, facts))
        for fact, place in description.relations
    ]
    return [
        title
        for title, place in facts.items()
        if _is_kind(place, description.kind)
        and all(place.get(fact) == value for fact, value in description.attributes)
        and all(_leads_to(place, fact, titles) for fact, titles in allowed)
    ]


def list_values(place: Mapping[str, str], fact: str) -> list[str]:
    """The values of one fact of a place: several for its neighbours, none when it is not known."""
    value = place.get(fact)
    if not value:
        return []
    return value.split(SEPARATOR) if fact == "borders" else [value]


def _leads_to(place: Mapping[str, str], fact: str, titles: Collection[str]) -> bool:
    return any(value in titles for value in list_values(place, fact))


def _is_kind(place: Mapping[str, str], kind: str) -> bool:
    is_city = any(fact in place for fact in ("country", "population", "latitude", "longitude"))
    return is_city if kind == "city" else bool(place) and not is_city


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


def _compile_claims() -> Sequence[tuple[str, re.Pattern[str]]]:
    pairs = []
    for fact, claim in CLAIMS.items():
        value = r"(?P<value>[A-Z])" if fact in RELATIONS else r"(?P<value>.+)"
        pattern = re.escape(claim).replace(r"\{parent\}", r"(?P<parent>[A-Z])")
        pairs.append((fact, re.compile(pattern.replace(r"\{value\}", value))))
    return tuple(pairs)


CLAIM_PATTERNS = _compile_claims()
