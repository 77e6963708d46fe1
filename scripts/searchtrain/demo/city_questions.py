"""Questions about named cities: how they are worded, what they ask for, and their answers.

Invariant: `parse_city_question` reads every phrasing back, and `solve` knows nothing but the
question and the facts of the passages.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

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
    "currency_code": (
        "What is the currency code of the country where {a} is?",
        "Which currency code is used in the country of {a}?",
        "Give the currency code of the country that has the city {a}.",
    ),
    "calling_code": (
        "What is the calling code of the country where {a} is?",
        "Which calling code is used in the country of {a}?",
        "Give the calling code of the country that has the city {a}.",
    ),
    "internet_domain": (
        "What is the internet domain of the country where {a} is?",
        "Which internet domain is used in the country of {a}?",
        "Give the internet domain of the country that has the city {a}.",
    ),
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
    for relation, pattern in PATTERNS:
        if match := pattern.fullmatch(text.strip()):
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
    """Read a population as it is written, with thousands separators."""
    return int(text.replace(",", ""))


def _compile_phrasings() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """One pattern per phrasing, those with the most fixed text first, as the most specific."""
    pairs = []
    for relation, phrasings in PHRASINGS.items():
        for phrasing in phrasings:
            pattern = re.escape(phrasing[:-1]).replace(r"\{a\}", "(?P<a>[A-Z].*?)")
            pattern = pattern.replace(r"\{b\}", "(?P<b>[A-Z].*?)")
            pairs.append((len(phrasing), relation, re.compile(pattern + "[?.]?")))
    pairs.sort(key=lambda pair: -pair[0])
    return tuple((relation, pattern) for _, relation, pattern in pairs)


PATTERNS = _compile_phrasings()
