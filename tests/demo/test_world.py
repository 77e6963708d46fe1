"""The laptop world: every answer follows from the passages, and the splits share no city."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from searchtrain import config
from searchtrain.core.errors import InputError
from searchtrain.core.files import read_jsonl
from searchtrain.demo import gazetteer, world
from searchtrain.demo.city_questions import PHRASINGS, TYPES, parse_city_question, solve
from searchtrain.demo.passages import SEPARATOR, read_passage

CONFIG: dict[str, Any] = {
    "seed": 1,
    "cities_per_country": 30,
    "sizes": {"train": 3000, "dev": 200, "test": 300},
    "shares": {"single_hop": 0.25, "two_hop": 0.35, "three_hop": 0.15, "comparison": 0.25},
    "max_answer_share": 0.04,
}
FEW = {**CONFIG, "sizes": {**CONFIG["sizes"], "train": 50}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    world.write_world(folder, config.World(**CONFIG))
    return folder


@pytest.fixture(scope="module")
def passages(folder: Path) -> list[dict[str, Any]]:
    return [row for _, row in read_jsonl(folder / "passages.jsonl")]


@pytest.fixture(scope="module")
def facts(passages: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Facts by title, read from the text of the passages and from nothing else."""
    pairs = [row["contents"].split("\n", 1) for row in passages]
    return {title.strip('"'): read_passage(text) for title, text in pairs}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same world with fewer training questions."""
    folder = tmp_path_factory.mktemp("few")
    world.write_world(folder, config.World(**FEW))
    return folder


def load(folder: Path, split: str) -> list[dict[str, Any]]:
    rows = json.loads((folder / f"{split}.json").read_text())
    if split == "test":
        answers = json.loads((folder / "test_answers.json").read_text())
        golden = {row["id"]: row["golden_answers"] for row in answers}
        rows = [{**row, "golden_answers": golden[row["id"]]} for row in rows]
    return rows


@pytest.fixture(scope="module")
def detailed() -> world.World:
    return world.build_world(cities_per_country=2, details=True)


def test_passages_are_linked_and_have_one_title_each(passages: list[dict[str, Any]]) -> None:
    ids = {row["id"] for row in passages}
    titles = [row["contents"].split("\n", 1)[0] for row in passages]
    assert len(ids) == len(passages) == len(set(titles)) > 3000
    assert all(set(row) == {"id", "contents", "links"} for row in passages)
    assert all(set(row["links"]) <= ids for row in passages)
    assert all(re.fullmatch(r'"[^"\n]+"\n[^\n]+', row["contents"]) for row in passages)
    countries = [row for row in passages if row["id"].startswith("country-")]
    assert len(countries) > 240
    cities = [row for row in passages if row["id"].startswith("city-")]
    assert all(row["links"][0].startswith("country-") for row in cities)


def test_a_passage_says_what_its_facts_are() -> None:
    for details in (False, True):
        built = world.build_world(cities_per_country=2, details=details)
        for passage in built.passages.values():
            assert read_passage(passage.text) == dict(passage.facts)


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_answers_follow_from_the_passages(
    folder: Path, facts: dict[str, dict[str, str]], split: str
) -> None:
    rows = load(folder, split)
    assert len(rows) == CONFIG["sizes"][split]
    for row in rows:
        assert row["golden_answers"][0] == solve(row["question"], facts), row
        assert all(answer.strip() for answer in row["golden_answers"])


def test_files_have_the_exact_format(folder: Path) -> None:
    train = json.loads((folder / "train.json").read_text())
    test = json.loads((folder / "test.json").read_text())
    answers = json.loads((folder / "test_answers.json").read_text())
    types = json.loads((folder / "types.json").read_text())
    assert all(list(row) == ["id", "question", "golden_answers"] for row in train)
    assert all(list(row) == ["id", "question"] for row in test)
    assert [row["id"] for row in answers] == [row["id"] for row in test]
    assert all(types[row["id"]] == row["type"] for row in answers)
    assert set(types.values()) == set(TYPES)
    assert len(types) == sum(CONFIG["sizes"].values())


def test_splits_share_no_city_and_no_question_is_asked_twice(folder: Path) -> None:
    asked = {}
    for split in ("train", "dev", "test"):
        rows = load(folder, split)
        assert len({row["question"] for row in rows}) == len(rows)
        parsed = [parse_city_question(row["question"]) for row in rows]
        asked[split] = {name for item in parsed if item for name in item[1]}
    assert not asked["train"] & asked["dev"]
    assert not asked["train"] & asked["test"]
    assert not asked["dev"] & asked["test"]


def test_subjects_are_unambiguous_and_no_capitals(facts: dict[str, dict[str, str]]) -> None:
    built = world.build_world(cities_per_country=30)
    keys = Counter(gazetteer.make_key(title) for title in built.passages)
    capitals = {fact["capital"] for fact in facts.values() if "capital" in fact}
    for name in built.subjects:
        assert keys[gazetteer.make_key(name)] == 1
        assert name not in capitals


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_no_answer_pays_as_a_guess(folder: Path, split: str) -> None:
    types = json.loads((folder / "types.json").read_text())
    rows = load(folder, split)
    for kind in TYPES:
        answers = Counter(row["golden_answers"][0] for row in rows if types[row["id"]] == kind)
        assert max(answers.values()) <= max(1, 0.04 * answers.total())


def test_shares_are_met_exactly(folder: Path) -> None:
    types = json.loads((folder / "types.json").read_text())
    counts = Counter(kind for name, kind in types.items() if name.startswith("test-"))
    assert counts == {"single_hop": 75, "two_hop": 105, "three_hop": 45, "comparison": 75}


def test_every_phrasing_is_read_back(facts: dict[str, dict[str, str]]) -> None:
    for relation, phrasings in PHRASINGS.items():
        for phrasing in phrasings:
            text = phrasing.format(a="Nova Iguacu", b="Mont-Dore")
            cities = ("Nova Iguacu", "Mont-Dore") if "{b}" in phrasing else ("Nova Iguacu",)
            assert parse_city_question(text) == (relation, cities)
    assert parse_city_question("who sang the first song?") is None


def test_comparisons_are_decided_by_population(facts: dict[str, dict[str, str]]) -> None:
    places = {
        "Large": {"country": "A", "population": "1,000,000"},
        "Small": {"country": "B", "population": "999,999"},
    }
    for first, second in (("Large", "Small"), ("Small", "Large")):
        assert solve(f"Which country has the larger city, {first} or {second}?", places) == "A"
    assert solve("Which country has the larger city, Large or Lost?", places) is None


def test_same_seed_same_bytes_other_seed_other_questions(few: Path, tmp_path: Path) -> None:
    world.write_world(tmp_path / "again", config.World(**FEW))
    world.write_world(tmp_path / "other", config.World(**{**FEW, "seed": 2}))
    names = sorted(path.name for path in few.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    for name in names:
        assert (few / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert (few / "test.json").read_bytes() != (tmp_path / "other" / "test.json").read_bytes()


def test_a_larger_train_split_leaves_dev_and_test_alone(folder: Path, few: Path) -> None:
    for name in ("dev.json", "test.json", "test_answers.json"):
        assert (folder / name).read_bytes() == (few / name).read_bytes()


def test_too_few_cities_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cities_per_country"):
        world.write_world(tmp_path, config.World(**{**CONFIG, "cities_per_country": 2}))
    assert not list(tmp_path.iterdir())


def test_too_strict_an_answer_share_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="max_answer_share"):
        world.write_world(tmp_path, config.World(**{**CONFIG, "max_answer_share": 0.0001}))


def test_details_add_facts_and_links_to_neighbours(detailed: world.World) -> None:
    france, paris = detailed.passages["France"], detailed.passages["Paris"]
    assert france.facts["continent"] == "Europe"
    assert france.text.endswith(
        " Continent Europe. Borders Andorra, Belgium, Germany, Italy, Luxembourg, Monaco, Spain,"
        " Switzerland."
    )
    assert paris.text.endswith(" Latitude 48.9 N. Longitude 2.3 E.")
    by_id = {passage.id: passage for passage in detailed.passages.values()}
    for passage in detailed.passages.values():
        linked = [by_id[name].title for name in passage.links]
        if passage.id.startswith("city-"):
            assert linked == [passage.facts["country"]]
            continue
        near = passage.facts.get("borders", "").split(SEPARATOR)
        assert [title for title in linked if title in near] == sorted(filter(None, near))
        assert all(
            passage.title in detailed.facts[title]["borders"] for title in filter(None, near)
        )
    hemispheres = {value[-1] for fact in detailed.facts.values() for value in fact.values()}
    assert {"N", "S", "E", "W"} <= hemispheres


def test_details_change_no_question_and_without_them_no_passage(
    few: Path, tmp_path: Path, detailed: world.World
) -> None:
    world.write_world(tmp_path, config.World(**{**FEW, "details": True}))
    for path in few.iterdir():
        same = (tmp_path / path.name).read_bytes() == path.read_bytes()
        assert same == (path.name != "passages.jsonl")
    plain = world.build_world(cities_per_country=2)
    for title, passage in plain.passages.items():
        assert not {"latitude", "longitude", "continent", "borders"} & set(passage.facts)
        assert detailed.passages[title].text.startswith(passage.text)
