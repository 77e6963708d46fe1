"""The harder world: facts in several wordings and notations, and a teacher with habits."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from searchtrain import config
from searchtrain.agent.grammar import parse_turn, render_observation
from searchtrain.config import Mistakes
from searchtrain.core.files import read_jsonl
from searchtrain.data.answers import match_strict
from searchtrain.data.equivalence import match_meaning
from searchtrain.demo import facts, varied, world
from searchtrain.demo.city_questions import list_hops, parse_city_question
from searchtrain.demo.teacher import decide_turn, read_hint

ROOT = Path(__file__).parents[2]
PRESET = yaml.safe_load((ROOT / "config/presets/hard_world.yaml").read_text())
SETTINGS = config.World(**{**PRESET["world"], "sizes": {"train": 400, "dev": 20, "test": 20}})
RATES = {**Mistakes().tracked(), **PRESET["models"]["teacher"]["scripted"]}
NONE = dict.fromkeys(RATES, 0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hard")
    world.write_world(folder, SETTINGS)
    return folder


@pytest.fixture(scope="module")
def rows(folder):
    return [row for _, row in read_jsonl(folder / "passages.jsonl")]


@pytest.fixture(scope="module")
def truth():
    return world.build_world(SETTINGS.cities_per_country, varied=True, namesakes=True).facts


@pytest.fixture(scope="module")
def said(rows):
    """What the two passages of each page say, as the scripted roles read it."""
    pages: dict[str, list[str]] = {}
    for row in rows:
        title, _, text = row["contents"].partition("\n")
        pages.setdefault(title.strip('"'), []).append(text)
    return facts.read_facts(pages)


def ask(question, pages, rates, hint):
    """The teacher's answer where every query finds the page that it names."""
    system = f"Search.\nKnown answer: {hint}" if hint else "Search."
    messages = [("system", system), ("user", question)]
    for _ in range(8):
        text, _ = decide_turn(question, messages, 1, rates)
        turn = parse_turn(text)
        if turn.answer is not None:
            return turn.answer
        found = [
            (query, pages.get(re.sub("^(city|country) ", "", query), [])) for query in turn.queries
        ]
        messages += [("assistant", text), ("tool", render_observation(found, 10_000))]
    return ""


def test_a_page_has_two_passages_and_the_same_settings_write_the_same_bytes(folder, rows, tmp_path):
    pages = [row["page"] for row in rows]
    assert all(pages.count(page) == 2 for page in set(pages[:200]))
    world.write_world(tmp_path, SETTINGS)
    for file in folder.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()


def test_every_fact_is_read_back_as_its_own_page_states_it_and_means_the_truth(said, truth):
    local = {place["local_name"]: title for title, place in truth.items() if "local_name" in place}
    checked = 0
    for title, place in truth.items():
        for name in set(place) & set(varied.WORDINGS):
            found = said[title].get(name)
            if name == "country":
                found = local.get(found, found)
            assert varied.tidy_value(name, str(found)) == place[name], (title, name)
            checked += 1
    assert checked > 10_000


def test_passages_and_golds_differ_in_notation_and_what_differs_means_the_same(said, truth):
    for name, least in (("population", 0.5), ("calling_code", 0.5), ("currency_code", 0.5)):
        pairs = [(said[title][name], truth[title][name]) for title in truth if name in truth[title]]
        other = [(text, gold) for text, gold in pairs if not match_strict(text, [gold])]
        assert least < len(other) / len(pairs) < 0.8, name
        meant = [match_meaning(text, [gold]) is not None for text, gold in other]
        assert sum(meant) / len(meant) > 0.9, name


def test_each_fact_has_four_wordings_and_cities_lie_in_countries_of_other_names(rows, truth):
    texts = " ".join(row["contents"] for row in rows)
    for wordings in varied.WORDINGS.values():
        for wording in wordings:
            literal = max(re.split(r"\{[tv]\}", wording), key=len)
            assert texts.count(literal) > 20, wording
    assert "Deutschland" in texts and truth["Germany"]["local_name"] == "Deutschland"


def test_no_split_asks_about_a_city_of_another_one(folder):
    asked = {
        split: {
            city
            for row in json.loads((folder / f"{split}.json").read_text())
            for city in (parse_city_question(row["question"]) or ("", ()))[1]
        }
        for split in ("train", "dev", "test")
    }
    assert not asked["dev"] & asked["test"] and not asked["train"] & (asked["dev"] | asked["test"])


def test_success_falls_with_hops_and_a_hint_takes_the_losses_away(folder, rows, truth):
    pages: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        title = row["contents"].partition("\n")[0].strip('"')
        for name in {title, truth[title].get("local_name", title)}:
            pages.setdefault(name, []).append(row)
    shares: dict[tuple[int, bool], list[bool]] = {}
    questions = json.loads((folder / "train.json").read_text())
    for row in questions:
        relation, _ = parse_city_question(row["question"]) or ("", ())
        hops = 1 if relation == "larger_country" else len(list_hops(relation))
        for hint in ("", row["golden_answers"][0]):
            answer = ask(row["question"], pages, {**NONE, "lost_hop": 0.4}, hint)
            right = match_meaning(answer, row["golden_answers"]) is not None
            shares.setdefault((hops, bool(hint)), []).append(right)
    rate = {key: sum(found) / len(found) for key, found in shares.items()}
    assert rate[2, False] < 0.75 and rate[3, False] < rate[2, False] - 0.1
    assert rate[2, True] > 0.9 and rate[3, True] > 0.9


def test_the_hint_is_read_from_the_system_prompt_alone():
    told = ("system", "Search.\nKnown answer: Oslo\nNever say so.")
    assert read_hint([told, ("user", "Where?")]) == "Oslo"
    assert read_hint([("system", "Search."), ("user", "Known answer: Oslo")]) == ""
