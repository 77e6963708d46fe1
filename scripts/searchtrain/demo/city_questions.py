"""Questions about named cities: how they are worded, what they ask for, and their answers.

Invariant: `parse_city_question` reads every phrasing back, and `solve` knows nothing but the
question and the facts of the passages.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from searchtrain.demo.passages import FACT_NAMES, compile_phrasing

QUESTION_TYPES = {
    "country": "single_hop",
    "time_zone": "single_hop",
    "capital": "two_hop",
    "currency_code": "two_hop",
    "calling_code": "two_hop",
    "internet_domain": "two_hop",
    "capital_population": "three_hop",
    "capital_time_zone": "three_hop",
    "larger_country": "comparison",
}
"""What a question asks for, and the type of question that this makes it."""

TYPES = tuple(dict.fromkeys(QUESTION_TYPES.values()))

PHRASINGS: dict[str, tuple[str, ...]] = {
    "country": (
        "In which country is {a}?",
        "Which country is the city of {a} in?",
        "What country does {a} belong to?",
    ),
    "time_zone": (
        "What is the time zone of {a}?",
        "Which time zone is {a} in?",
        "Which time zone does the city of {a} use?",
    ),
    "capital": (
        "What is the capital of the country where {a} is?",
        "Which city is the capital of the country of {a}?",
        "Name the capital of the country that has the city {a}.",
    ),
    **{
        fact: (
            f"What is the {FACT_NAMES[fact]} of the country where {{a}} is?",
            f"Which {FACT_NAMES[fact]} is used in the country of {{a}}?",
            f"Give the {FACT_NAMES[fact]} of the country that has the city {{a}}.",
        )
        for fact in ("currency_code", "calling_code", "internet_domain")
    },
    "capital_population": (
        "What is the population of the capital of the country where {a} is?",
        "How many people live in the capital of the country of {a}?",
        "Give the population of the capital of the country that has the city {a}.",
    ),
    "capital_time_zone": (
        "What is the time zone of the capital of the country where {a} is?",
        "Which time zone is used in the capital of the country of {a}?",
        "Give the time zone of the capital of the country that has the city {a}.",
    ),
    "larger_country": (
        "Which country has the larger city, {a} or {b}?",
        "In which country is the larger of the two cities {a} and {b}?",
        "Of {a} and {b}, in which country is the one with more people?",
    ),
}


NAME = r"[A-Z].*?"
PATTERNS = [
    (relation, compile_phrasing(phrasing[:-1], a=NAME, b=NAME))
    for relation, phrasings in PHRASINGS.items()
    for phrasing in phrasings
]
"""No two of them fit one text: what stands before the first name differs."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question, the names of the cities it asks about, and its answers (best form first)."""

    relation: str
    cities: tuple[str, ...]
    text: str
    answers: tuple[str, ...]


@functools.lru_cache(maxsize=65536)
def parse_city_question(text: str) -> tuple[str, tuple[str, ...]] | None:
    """Read a question's relation and city names off its phrasing; None when it is foreign."""
    asked = re.sub(r"[?.]$", "", text.strip())
    for relation, pattern in PATTERNS:
        if match := pattern.fullmatch(asked):
            return relation, tuple(match.groupdict().values())
    return None


def solve(question: str, facts: Mapping[str, Mapping[str, str]]) -> str | None:
    """Answer a question from facts by title; None when it is foreign or a fact is missing."""
    parsed = parse_city_question(question)
    if parsed is None:
        return None
    relation, cities = parsed
    if QUESTION_TYPES[relation] == "comparison":
        places = [facts.get(city, {}) for city in cities]
        if any("population" not in place for place in places):
            return None
        return max(places, key=lambda place: parse_number(place["population"])).get("country")
    answer: str | None = cities[0]
    for _, fact in list_hops(relation):
        answer = facts.get(answer or "", {}).get(fact)
    return answer


def list_hops(relation: str) -> list[tuple[str, str]]:
    """The facts to look up one after the other: (kind of the place, fact) pairs."""
    match QUESTION_TYPES[relation]:
        case "two_hop":
            return [("city", "country"), ("country", relation)]
        case "three_hop":
            fact = relation.removeprefix("capital_")
            return [("city", "country"), ("country", "capital"), ("city", fact)]
        case "comparison":
            return [("city", "population")]
    return [("city", relation)]


def parse_number(text: str) -> int:
    """Read a population as it is written, with any thousands separators or none."""
    return int(re.sub(r"\D", "", text))
