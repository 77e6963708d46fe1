"""Which of the scripted teacher's mistakes came about, and what curation makes of them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from helpers.scripts import run_script
from searchtrain import config
from searchtrain.agent import loop
from searchtrain.config import Curate, Index, Limits, Mistakes, Rules
from searchtrain.core.errors import InputError
from searchtrain.curation.choice import curate_rollouts
from searchtrain.data import schemas
from searchtrain.demo import defects, mistakes, roles, splits, world
from searchtrain.demo.city_questions import QUESTION_TYPES, Question
from searchtrain.demo.requests import cut_at_stop
from searchtrain.models.model import Completion
from searchtrain.models.role import Role
from searchtrain.search.bm25 import BM25Index
from searchtrain.search.index import build_index

CONFIG: dict[str, Any] = {
    "seed": 5,
    "cities_per_country": 8,
    "sizes": {"train": 100, "dev": 4, "test": 4},
    "shares": {"single_hop": 0.25, "two_hop": 0.25, "three_hop": 0.25, "comparison": 0.25},
    "max_answer_share": 0.2,
}
RULES = {
    "answered": True,
    "exact_match": True,
    "valid_grammar": True,
    "supported": True,
    "no_repeated_query": True,
    "turn_words": 60,
    "total_words": 120,
    "hedging_per_turn": 3,
    "language": 0,
    "looping": 0.3,
    "min_searches": 1,
    "distinct_sources": 0.66,
}
ORDINARY_KINDS = [kind for kind in mistakes.ROLLOUT_KINDS if kind != "shortcut"]
OFF = dict.fromkeys(Rules.model_fields)
PERFECT = Mistakes().tracked()
LIMITS = Limits(max_turns=6, max_searches=4, max_queries=3, topk=2)


class Teacher:
    """The scripted teacher as the agent's model, without a server between them."""

    def __init__(self, rates: dict[str, float]) -> None:
        self.role, self.rates = Role("teacher", "scripted", concurrency=4), rates
        self.usage: dict[str, int] = {}

    async def complete(
        self, messages: Any, *, seed: int, stop: Any = (), prefill: str = "", **_: Any
    ) -> Any:
        body = {"messages": [*messages], "seed": seed}
        if prefill:
            body["messages"].append({"role": "assistant", "content": prefill})
        text, _ = cut_at_stop(roles.write_reply(body, self.rates), stop)
        return Completion(text, "stop", 1, len(text.split()), False)

    def stop(self) -> None: ...


class Searcher:
    """An index as what the agent searches."""

    def __init__(self, index: BM25Index) -> None:
        self._index = index

    async def search(self, queries: Any, topk: int, exclude: Any = ()) -> Any:
        return await self._index.search(queries, topk)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> BM25Index:
    folder = tmp_path_factory.mktemp("mistakes")
    world.write_world(folder, config.World(**CONFIG))
    build_index(folder / "passages.jsonl", folder / "index", Index())
    return BM25Index(folder / "index", folder / "passages.jsonl")


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    laptop_world = world.build_world(CONFIG["cities_per_country"])
    settings = config.World(**CONFIG)
    return splits.write_questions(laptop_world.facts, laptop_world.subjects, settings)["train"]


async def run(
    index: BM25Index,
    questions: list[Question],
    rates: dict[str, float],
    limits: Limits = LIMITS,
) -> pl.DataFrame:
    """One rollout per question, as the workflow does it."""
    policy: Any = loop.Policy(Teacher(rates), loop.Harness("Answer.", "p", limits))
    searcher: Any = Searcher(index)
    rows = []
    for number, question in enumerate(questions):
        name, golds = f"q{number}", question.answers
        task = loop.Attempt(name, question.text, golds, "world", (), 0, number)
        row, _ = await loop.rollout(task, policy, searcher)
        rows.append(row)
    return pl.DataFrame(rows, schema=schemas.empty_table(schemas.Trajectories).schema)


def roll_out(*args: Any) -> pl.DataFrame:
    return asyncio.run(run(*args))


def list_all(rows: pl.DataFrame, rates: dict[str, float]) -> list[list[str]]:
    return [defects.list_mistakes(row, rates) for row in rows.iter_rows(named=True)]


@pytest.mark.parametrize("kind", ORDINARY_KINDS)
def test_a_mistake_that_was_made_is_listed(
    index: BM25Index, questions: list[Question], kind: str
) -> None:
    rows = roll_out(index, questions[::2], {kind: 0.5})
    plain = roll_out(index, questions[::2], {})
    pairs = zip(rows["messages"].to_list(), plain["messages"].to_list(), strict=True)
    changed = [one != other for one, other in pairs]
    listed = list_all(rows, {kind: 0.5})
    assert [found == [kind] for found in listed] == changed
    assert all(found in ([], [kind]) for found in listed)
    assert 10 < sum(changed) < 40


def test_broken_turns_are_listed(index: BM25Index, questions: list[Question]) -> None:
    rows = roll_out(index, questions, {"broken_tags": 0.1})
    broken = [
        any("was not valid" in message["content"] for message in row["messages"])
        or row["stop_reason"] == "invalid_turn"
        for row in rows.iter_rows(named=True)
    ]
    listed = list_all(rows, {"broken_tags": 0.1})
    assert [found == ["broken_tags"] for found in listed] == broken
    assert 5 < sum(broken) < 60


def test_what_did_not_come_about_is_not_listed(index: BM25Index, questions: list[Question]) -> None:
    """A rollout that never searched repeats no query, and one turn is no long trace."""
    rates = {"unsupported_answer": 1, "repeated_query": 1, "redundant_search": 1, "long_trace": 1}
    for found in list_all(roll_out(index, questions[:20], rates), rates):
        assert found == ["unsupported_answer"]
    # One search is allowed: the second is refused, so that it brings nothing and costs nothing.
    once = Limits(max_turns=6, max_searches=1, topk=2)
    single = [each for each in questions if QUESTION_TYPES[each.relation] == "single_hop"][:10]
    rates = {"redundant_search": 1}
    rows = roll_out(index, single, rates, once)
    assert set(rows["searches"]) == {1} and set(rows["turns"]) == {3}
    assert list_all(rows, rates) == [[]] * len(single)


def test_a_wrong_answer_that_is_right_is_no_mistake(
    index: BM25Index, questions: list[Question]
) -> None:
    rates = {"wrong_answer": 1}
    row = roll_out(index, questions[:1], rates).to_dicts()[0]
    assert defects.list_mistakes(row, rates) == ["wrong_answer"]
    assert defects.list_mistakes({**row, "golden_answers": [row["answer"]]}, rates) == []


def test_a_forced_answer_is_replayed_too(index: BM25Index, questions: list[Question]) -> None:
    two_hop = [each for each in questions if QUESTION_TYPES[each.relation] == "two_hop"][:5]
    forced = Limits(max_turns=6, max_searches=1, topk=2, force_answer=True)
    rows = roll_out(index, two_hop, {"hedging": 1}, forced)
    assert set(rows["stop_reason"]) == {"forced_answer"}
    assert list_all(rows, {"hedging": 1}) == [["hedging"]] * 5


def test_rates_of_another_run_are_refused(index: BM25Index, questions: list[Question]) -> None:
    row = roll_out(index, questions[:1], {"hedging": 1}).to_dicts()[0]
    with pytest.raises(InputError, match=r"q0#0: the scripted teacher does not write .*rates"):
        defects.list_mistakes(row, {})


def test_curation_catches_each_kind_and_drops_hardly_a_good_rollout(
    index: BM25Index, questions: list[Question]
) -> None:
    rates = dict.fromkeys(defects.KINDS, 0.06)
    rows = roll_out(index, questions, rates)
    _, verdicts = curate_rollouts(rows, Curate(rules={**OFF, **RULES}))
    measured = defects.measure_defects(rows, verdicts, rates)
    assert measured["rollouts"] == rows.height == 100
    for kind, figures in measured["kinds"].items():
        assert (figures["rollouts"] > 0) == (kind != "shortcut"), kind
        if figures["detectable"] and figures["rollouts"]:
            assert figures["share"] == 1 and not figures["missed"], (kind, figures)
    clean = measured["clean"]
    assert clean["good"] > 20 and clean["share"] == 0, clean
    assert not measured["kinds"]["bad_query"]["detectable"]


def test_shortcuts_of_tree_questions_are_listed_and_caught(tmp_path: Path) -> None:
    """Not those of a question that one search answers, and none without a search."""
    world.write_world(tmp_path, config.World(**{**CONFIG, "details": True}))
    build_index(tmp_path / "passages.jsonl", tmp_path / "index", Index())
    index = BM25Index(tmp_path / "index", tmp_path / "passages.jsonl")
    passages = world.build_world(CONFIG["cities_per_country"], details=True).passages
    asked, levels = [], {}
    for city in ("Lyon", "Osaka", "Toronto", "Hamburg", "Mombasa", "Mumbai"):
        facts = passages[city].facts
        country = passages[facts["country"]]
        of_city = f"Which city at latitude {facts['latitude']} is in "
        deep = f"{of_city}the country that has as its capital {country.facts['capital']}?"
        flat = f"{of_city}{country.title}?"
        for text, pages in ((deep, [[country.id], [passages[city].id]]), (flat, [])):
            levels[f"q{len(asked)}"] = pages or [[passages[city].id]]
            asked.append(Question("tree", (city,), text, (city,)))
    rates = {"shortcut": 1}
    rows = roll_out(index, asked, rates)
    assert list_all(rows, rates) == [["shortcut"], []] * 6
    closed = roll_out(index, asked, rates, Limits(max_turns=2, max_searches=0))
    assert list_all(closed, rates) == [[]] * 12
    known = pl.DataFrame(
        [
            {
                **{"id": row["question_id"], "question": row["question"], "golden_answers": []},
                **{"source": "trees", "exclude_urls": [], "origin": "tree", "vertices": 3},
                "levels": levels[row["question_id"]],
            }
            for row in rows.iter_rows(named=True)
        ],
        schema=schemas.empty_table(schemas.Questions).schema,
    )
    settings = Curate(rules={**OFF, "answered": True, "searches_per_level": 1})
    _, verdicts = curate_rollouts(rows, settings, questions=known)
    kind = defects.measure_defects(rows, verdicts, rates)["kinds"]["shortcut"]
    assert (kind["rollouts"], kind["share"]) == (6, 1)
    assert kind["rules"] == {"searches_per_level": 6}


def test_misses_and_wrong_drops_are_counted_and_named(
    index: BM25Index, questions: list[Question]
) -> None:
    rates = {"hedging": 0.5}
    rows = roll_out(index, questions[:40], rates)
    hedging = {row["id"] for row in rows.iter_rows(named=True) if "Hmm" in str(row["messages"])}
    good = [name for name in rows["id"] if name not in hedging]
    _, verdicts = curate_rollouts(rows, Curate(rules={**OFF, "answered": True, "turn_words": 60}))
    wrong = (pl.col("rule") == "turn_words") & pl.col("id").is_in(good[:2])
    verdicts = verdicts.with_columns(passed=pl.col("passed") & ~wrong)
    measured = defects.measure_defects(rows, verdicts, rates)
    kind = measured["kinds"]["hedging"]
    assert (kind["rollouts"], kind["caught"], kind["share"]) == (len(hedging), 0, 0)
    assert len(kind["missed"]) == 3 and set(kind["missed"]) <= hedging
    assert measured["kinds"]["repetition"]["share"] is None
    assert measured["clean"] == {
        **{"rollouts": len(good), "failed": 0, "good": len(good), "dropped": 2},
        **{"share": round(2 / len(good), 4), "rules": {"turn_words": 2}, "examples": good[:2]},
    }


def test_choice_among_good_rollouts_is_no_drop(index: BM25Index, questions: list[Question]) -> None:
    """Rules on questions and the cap judge no rollout."""
    rows = roll_out(index, questions[:20], {})
    settings = Curate(
        rules={**OFF, "answered": True}, question_rules={"max_correct_share": 1.0}, max_kept=3
    )
    _, verdicts = curate_rollouts(rows, settings)
    verdicts = verdicts.with_columns(passed=pl.col("rule") == "answered")
    assert defects.measure_defects(rows, verdicts, {})["clean"]["dropped"] == 0


def test_a_wrong_answer_for_want_of_passages_is_no_good_rollout(
    index: BM25Index, questions: list[Question]
) -> None:
    rows = roll_out(index, questions[:10], {}).with_columns(
        golden_answers=pl.lit(["something else"], dtype=pl.List(pl.String))
    )
    passing = {"rule": "answered", "passed": True, "value": 1.0, "threshold": 1.0, "kept": False}
    verdicts = rows.select("id", "question_id").with_columns(
        **{name: pl.lit(value) for name, value in passing.items()}
    )
    clean = defects.measure_defects(rows, verdicts, {})["clean"]
    assert (clean["rollouts"], clean["failed"], clean["good"]) == (10, 10, 0)
    assert clean["share"] is None


def test_the_stage_writes_figures_and_refuses_other_verdicts(
    index: BM25Index, questions: list[Question], tmp_path: Path
) -> None:
    rates = {"hedging": 0.5}
    rows = roll_out(index, questions[:10], rates)
    _, verdicts = curate_rollouts(rows, Curate(rules={**OFF, "answered": True}))
    schemas.write_table(rows, tmp_path / "rows.parquet", schemas.Trajectories)
    schemas.write_table(verdicts, tmp_path / "verdicts.parquet", schemas.Verdicts)
    out = tmp_path / "defects.json"
    ended = run_script(
        "defects", "--trajectories", tmp_path / "rows.parquet",
        "--verdicts", tmp_path / "verdicts.parquet", "--out", out,
        "--config", json.dumps({"models": {"teacher": {"scripted": PERFECT | rates}}}),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "no mistake, right answer" in ended.stderr
    measured = json.loads(out.read_text())
    assert measured == defects.measure_defects(rows, verdicts, rates)
    with pytest.raises(InputError, match="no row for rollout"):
        defects.measure_defects(rows, verdicts.filter(pl.col("id") != "q3#0"), rates)
