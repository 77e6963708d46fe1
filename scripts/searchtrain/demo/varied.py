"""The harder world's language: facts in several wordings and notations, beside what is of no use.

A page has two passages over which its facts are spread. Invariant: `read_varied` reads of a passage
exactly the facts that it states of its own page, as they are written there.
"""

import functools
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from searchtrain import config
from searchtrain.demo.passages import VALUES, Passage

WORDINGS = {
    "country": (
        "{t} is a city in {v}.",
        "This city lies in {v}.",
        "{t} belongs to {v}.",
        "One finds {t} in {v}.",
    ),
    "population": (
        "It has {v} inhabitants.",
        "{v} people live in {t}.",
        "Its population is {v}.",
        "{t} is home to {v} people.",
    ),
    "time_zone": (
        "Its time zone is {v}.",
        "Clocks there follow {v}.",
        "{t} keeps the time of {v}.",
        "The hour is that of {v}.",
    ),
    "local_name": (
        "{t}, at home {v}, is a country.",
        "{t} is a country, locally called {v}.",
        "The country {t} is {v} to its people.",
        "{t} or {v} is a country.",
    ),
    "capital": (
        "The capital is {v}.",
        "Its government sits in {v}.",
        "{t} is ruled from {v}.",
        "The seat of power is {v}.",
    ),
    "currency_code": (
        "One pays with {v}.",
        "The currency is {v}.",
        "Its money is {v}.",
        "Prices are in {v}.",
    ),
    "calling_code": (
        "The calling code is {v}.",
        "Calls to {t} begin with {v}.",
        "One dials {v}.",
        "Its telephone prefix is {v}.",
    ),
    "internet_domain": (
        "The internet domain is {v}.",
        "Web addresses end in {v}.",
        "Sites of {t} use {v}.",
        "The ending of its sites is {v}.",
    ),
}
"""Sentences about a page `t` whose fact has the value `v`; a world may use the first few only."""
OPENINGS = ("{t} is a country.", "This is the country {t}.")
"""How the passages of a country without a local name begin: no index finds a page without its kind
among all those that name it."""
DENIED = "It is not in {v}."
NEIGHBOURLY = {
    "population": "Its twin town {o} has {v} inhabitants.",
    "time_zone": "In {o} the time zone is {v}.",
    "currency_code": "In {o} one pays with {v}.",
    "calling_code": "Calls to {o} begin with {v}.",
    "internet_domain": "Sites of {o} use {v}.",
    "capital": "{o} is ruled from {v}.",
}
"""True values of another page in much the same words."""
FILLERS = (
    "Many visitors come in summer.",
    "The market is held every week.",
    "Football is popular here.",
    "The old streets are narrow.",
    "Some say it rains too often.",
    "A museum tells its story.",
)
NAME = r"[A-Z][^.]*?"
READ = {
    **VALUES,
    "country": NAME,
    "capital": NAME,
    "local_name": NAME,
    "population": r"[\d, ]+?",
    "currency_code": r"[A-Z][^.]*?",
    "calling_code": r"\+?[\d-]+",
    "internet_domain": r"\.?\w+",
}
"""What a value looks like in any notation."""
CODE = re.compile(r"\b[A-Z]{3}\b")

Notation = Callable[[str, Mapping[str, str]], str]
"""From a canonical value and its page's facts to another way to write it."""
NOTATIONS: Mapping[str, tuple[Notation, ...]] = {
    "population": (
        lambda value, _: value,
        lambda value, _: f"{int(value):,}",
        lambda value, _: f"{int(value):,}".replace(",", " "),
    ),
    "calling_code": (
        lambda value, _: value,
        lambda value, _: value.removeprefix("+"),
        lambda value, _: f"00{value.removeprefix('+')}",
    ),
    "currency_code": (
        lambda value, _: value,
        lambda value, facts: f"{facts['currency_name']} ({value})",
        lambda value, facts: f"{facts['currency_name']}, in short {value}",
    ),
    "internet_domain": (lambda value, _: value, lambda value, _: value.removeprefix(".")),
}
"""Ways to write a value that mean the same; the first is the canonical one, that of the golds."""


def write_page(
    page: Passage,
    facts: Mapping[str, Mapping[str, str]],
    titles: Sequence[str],
    settings: config.World,
) -> list[dict[str, Any]]:
    """A page as rows of a corpus: two passages. `facts`: of all pages by title, canonical."""
    rng = random.Random(f"{settings.seed}:{page.id}")
    stated = [name for name in page.facts if name in WORDINGS and name != "local_name"]
    rng.shuffle(stated)
    half = (len(stated) + 1) // 2
    rows = []
    for number, names in enumerate((stated[:half], stated[half:])):
        sentences = [_state(page, name, facts, settings, rng) for name in names]
        if rng.random() < settings.distractors:
            sentences.append(_distract(page, facts, titles, settings, rng))
        sentences.append(rng.choice(FILLERS))
        rng.shuffle(sentences)
        if "local_name" in page.facts and settings.aliases:
            sentences.insert(0, _state(page, "local_name", facts, settings, rng))
        elif "country" not in page.facts:
            sentences.insert(0, rng.choice(OPENINGS).format(t=page.title))
        rows.append(
            {
                "id": f"{page.id}-{number}",
                "page": page.id,
                "contents": f'"{page.title}"\n{" ".join(sentences)}',
                "links": [f"{link}-{part}" for link in page.links for part in (0, 1)],
            }
        )
    return rows


@functools.lru_cache(maxsize=16384)
def read_varied(title: str, text: str) -> Mapping[str, str]:
    """The facts that a passage states of its own page, as it writes them."""
    found = {}
    for name, pattern in _compile(title).items():
        if match := pattern.search(text):
            found[name] = next(filter(None, match.groups()))
    return found


def tidy_value(fact: str, value: str) -> str:
    """A value in canonical notation, whatever its own."""
    if fact == "population":
        return re.sub(r"\D", "", value)
    if fact == "calling_code":
        return "+" + value.removeprefix("+").removeprefix("00")
    if fact == "internet_domain":
        return "." + value.removeprefix(".")
    if fact == "currency_code" and (codes := CODE.findall(value)):
        return str(codes[-1])
    return value


@functools.lru_cache(maxsize=4096)
def _compile(title: str) -> dict[str, re.Pattern[str]]:
    return {
        name: re.compile(
            "|".join(
                r"(?:^|(?<=[.!?] ))"
                + re.escape(wording[:-1])
                .replace(r"\{t\}", re.escape(title))
                .replace(r"\{v\}", f"({READ[name]})")
                + r"\.(?= |$)"
                for wording in wordings
            )
        )
        for name, wordings in WORDINGS.items()
    }


def _state(
    page: Passage,
    name: str,
    facts: Mapping[str, Mapping[str, str]],
    settings: config.World,
    rng: random.Random,
) -> str:
    wording = rng.choice(WORDINGS[name][: settings.wordings])
    value = page.facts[name]
    if name == "country" and settings.aliases:
        value = facts[value].get("local_name", value)
    return wording.format(t=page.title, v=_write(name, value, page.facts, settings, rng))


def _distract(
    page: Passage,
    facts: Mapping[str, Mapping[str, str]],
    titles: Sequence[str],
    settings: config.World,
    rng: random.Random,
) -> str:
    """What is true of another page, or denied of this one."""
    other = rng.choice(titles)
    names = [name for name in NEIGHBOURLY if name in page.facts and name in facts[other]]
    if not names or other == page.title:
        return rng.choice(FILLERS)
    if "country" in page.facts and rng.random() < 0.3 and "country" in facts[other]:
        denied = facts[other]["country"]
        return DENIED.format(v=denied) if denied != page.facts["country"] else FILLERS[0]
    name = rng.choice(names)
    value = _write(name, facts[other][name], facts[other], settings, rng)
    return NEIGHBOURLY[name].format(o=other, v=value)


def _write(
    name: str, value: str, facts: Mapping[str, str], settings: config.World, rng: random.Random
) -> str:
    forms: Sequence[Notation] = NOTATIONS.get(name, ()) if settings.notations else ()
    return rng.choice(forms)(value, facts) if forms else value
