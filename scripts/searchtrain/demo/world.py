"""A closed world of cities and countries, and questions whose answers need one to three searches.

Invariant: a title names one passage only. Same configuration and seed, same bytes.

With `details` passages say more (where a city lies, a country's continent and its neighbours) and
countries link to their neighbours: enough for research trees (InfoSeek).
"""

import functools
import logging
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from searchtrain import config
from searchtrain.core.files import canonical_json, write_json, write_text
from searchtrain.demo.city_questions import QUESTION_TYPES
from searchtrain.demo.gazetteer import Places, Row, find_local_name, load_places
from searchtrain.demo.passages import SEPARATOR, Passage, state_facts
from searchtrain.demo.splits import write_questions
from searchtrain.demo.varied import tidy_value, write_page

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class World:
    """The passages by title, and the cities that questions may ask about."""

    passages: Mapping[str, Passage]
    subjects: tuple[str, ...]

    @functools.cached_property
    def facts(self) -> dict[str, Mapping[str, str]]:
        """What the passages say, by title."""
        return {title: passage.facts for title, passage in self.passages.items()}


@functools.lru_cache(maxsize=1)
def build_world(
    cities_per_country: int, *, details: bool = False, varied: bool = False, namesakes: bool = False
) -> World:
    """Write the passages: every country, its capital, and its most populous cities.

    `cities_per_country`: see `gazetteer.load_places`. `details`: a city's latitude and longitude in
    tenths of a degree, a country's continent and neighbours, and links to the neighbours.
    `varied`: facts in the notation of the golds, with what `demo.varied` needs to write them in
    others. `namesakes`: also cities that no question asks about.
    """
    places = load_places(cities_per_country)
    cities = [*places.capitals.values(), *places.subjects]
    if namesakes:
        cities += places.namesakes
    passages = [_write_country(code, places, details) for code in places.countries]
    passages += [_write_city(city, places, details) for city in cities]
    if varied:
        names = _list_local_names(places, {passage.title for passage in passages})
        passages = [_make_canonical(passage, places, names) for passage in passages]
    by_title = {passage.title: passage for passage in passages}
    return World(by_title, tuple(city["name"] for city in places.subjects))


def write_world(folder: str | Path, settings: config.World) -> None:
    """Write passages, question files, test answers and question types into `folder`."""
    folder = Path(folder)
    varied = settings.wordings > 1
    world = build_world(
        settings.cities_per_country,
        details=settings.details,
        varied=varied,
        namesakes=settings.namesakes,
    )
    splits = write_questions(world.facts, world.subjects, settings)
    types: dict[str, str] = {}
    answers = []
    for split in ("train", "dev", "test"):
        rows = []
        for number, question in enumerate(splits[split]):
            name = f"{split}-{number:05d}"
            types[name] = QUESTION_TYPES[question.relation]
            row = {"id": name, "question": question.text}
            golden = {"golden_answers": list(question.answers)}
            if split == "test":
                answers.append({"id": name, **golden, "type": types[name]})
            rows.append(row if split == "test" else {**row, **golden})
        write_json(rows, folder / f"{split}.json")
        kinds = Counter(QUESTION_TYPES[question.relation] for question in splits[split])
        log.info("%s: %d questions, %s", split, len(rows), dict(kinds))
    write_json(answers, folder / "test_answers.json")
    write_json(types, folder / "types.json")
    pages, facts, titles = world.passages.values(), world.facts, list(world.passages)
    rows = [page.to_row() for page in pages]
    if varied:
        rows = [row for page in pages for row in write_page(page, facts, titles, settings)]
    write_text("".join(canonical_json(row) + "\n" for row in rows), folder / "passages.jsonl")
    log.info("passages: %d, subject cities: %d", len(rows), len(world.subjects))


def _write_country(code: str, places: Places, details: bool) -> Passage:
    countries, capitals = places.countries, places.capitals
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
        values["continent"] = country["continent"]
        values["borders"] = SEPARATOR.join(countries[other]["name"] for other in near)
    facts = {name: value for name, value in values.items() if value}
    name = f"country-{code.lower()}"
    return Passage(name, country["name"], state_facts(facts), tuple(links), facts)


def _write_city(city: Row, places: Places, details: bool) -> Passage:
    facts = {
        "country": places.countries[city["countrycode"]]["name"],
        "population": f"{city['population']:,}",
        "time_zone": city["timezone"],
    }
    if details:
        facts["latitude"] = _write_degrees(city["latitude"], "NS")
        facts["longitude"] = _write_degrees(city["longitude"], "EW")
    name, links = f"city-{city['geonameid']}", (f"country-{city['countrycode'].lower()}",)
    return Passage(name, city["name"], state_facts(facts), links, facts)


def _list_local_names(places: Places, titles: Collection[str]) -> dict[str, str]:
    """What countries are called at home, by the id of their page, where no other place is."""
    names = {
        f"country-{code.lower()}": find_local_name(country)
        for code, country in places.countries.items()
    }
    counts = Counter(names.values())
    return {key: name for key, name in names.items() if counts[name] == 1 and name not in titles}


def _make_canonical(passage: Passage, places: Places, local_names: Mapping[str, str]) -> Passage:
    """The same page with its facts as golds write them; without those that hold a full stop, which
    would end their sentence."""
    facts = dict(passage.facts)
    for name in ("population", "calling_code"):
        if name in facts:
            facts[name] = tidy_value(name, facts[name])
    if passage.id.startswith("country-"):
        country = places.countries[passage.id.removeprefix("country-").upper()]
        facts["currency_name"] = country["currencyname"]
        if passage.id in local_names:
            facts["local_name"] = local_names[passage.id]
    for name in ("capital", "country"):
        if "." in facts.get(name, ""):
            del facts[name]
    return replace(passage, facts=facts)


def _write_degrees(value: float, hemispheres: str) -> str:
    """An angle in tenths of a degree with its hemisphere; zero is in the first of the two.

    In whole degrees two of three cities share country and place with another one.
    """
    tenths = round(10 * value)
    return f"{abs(tenths) / 10} {hemispheres[tenths < 0]}"
