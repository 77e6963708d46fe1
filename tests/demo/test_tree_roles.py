"""The scripted roles around research trees: what they grow is answered by search, and only so."""

import asyncio
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from starlette.testclient import TestClient

from helpers.worlds import find_answers
from searchtrain import config
from searchtrain.agent import grammar, loop
from searchtrain.agent.refiner import FINDINGS_SCHEMA, Refiner, read_findings, render_request
from searchtrain.config import Index, Limits, Trees
from searchtrain.curation.measures import measure_levels_reached
from searchtrain.curation.shortcuts import GENUINE_SCHEMA
from searchtrain.demo import endpoint, mistakes, roles, world
from searchtrain.demo.requests import Refusal, cut_at_stop
from searchtrain.demo.server import Ledger
from searchtrain.models.asker import Asker
from searchtrain.models.model import Completion
from searchtrain.models.role import Role
from searchtrain.search.bm25 import BM25Index
from searchtrain.search.index import build_index
from searchtrain.trees import growth, writing
from searchtrain.trees.names import find_name
from searchtrain.trees.pages import PageStore
from searchtrain.trees.quality import Quality
from searchtrain.trees.roots import HeldOut, RootDraw

CONFIG: dict[str, Any] = {
    "seed": 2,
    "cities_per_country": 10,
    "sizes": {"train": 10, "dev": 4, "test": 4},
    "shares": {"single_hop": 0.25, "two_hop": 0.25, "three_hop": 0.25, "comparison": 0.25},
    "max_answer_share": 1,
    "details": True,
}
LIMITS = Limits(max_turns=6, max_searches=5, max_queries=3, topk=5, max_observation_chars=4000)
SOLVE = {"properties": {"reason": {"type": "string"}, "answer": {"type": "string"}}}
VERIFY = {"properties": {"reason": {"type": "string"}, "answers": {"type": "array"}}}
TAGS = {"properties": {"domain": {"type": "string"}, "key_points": {"type": "array"}}}


class Scripted:
    """The scripted server as a model client, without a server between them."""

    def __init__(self, name: str, rates: dict[str, float] | None = None) -> None:
        self.role, self.rates = Role(name, "scripted", concurrency=4), rates or {}
        self.usage: Counter[str] = Counter()

    async def complete(
        self,
        messages: Any,
        *,
        seed: int,
        stop: Any = None,
        schema: Any = None,
        prefill: str = "",
        **_: Any,
    ) -> Completion:
        text = ask(messages, schema, self.rates, seed)
        text, _ = cut_at_stop(text, stop)
        return Completion(text, "stop", 1, len(text.split()), False)

    def stop(self) -> None: ...

    def cost(self) -> float:
        return 0.0

    async def close(self) -> None: ...


class Searcher:
    """An index as what the agent searches."""

    def __init__(self, index: BM25Index) -> None:
        self._index = index

    async def search(self, queries: Any, topk: int, exclude: Any = ()) -> Any:
        return await self._index.search(queries, topk)


def ask(messages: Any, schema: Any = None, rates: Any = None, seed: int = 0) -> str:
    if isinstance(messages, dict):
        messages = [{"role": "user", "content": json.dumps(messages)}]
    body = {"messages": list(messages), "seed": seed}
    if schema is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
    return roles.write_reply(body, rates or {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trees")
    world.write_world(folder, config.World(**CONFIG))
    build_index(folder / "passages.jsonl", folder / "index", Index())
    return folder


@pytest.fixture(scope="module")
def index(folder: Path) -> BM25Index:
    return BM25Index(folder / "index", folder / "passages.jsonl")


@pytest.fixture(scope="module")
def pages(folder: Path) -> PageStore:
    return PageStore(folder / "passages.jsonl")


def grow(
    index: BM25Index, pages: PageStore, count: int, rates: dict[str, float] | None = None
) -> tuple[pl.DataFrame, Counter[str]]:
    """Grow trees as the stage does; returns them and the refused steps."""
    settings = Trees(count=count, max_failed_share=1, max_steps=30)
    askers: list[Any] = [
        Asker(Scripted(name, rates), "Grow.", schema, settings.max_reply_chars)
        for name, schema in (("planner", growth.PLAN_SCHEMA), ("browser", growth.BROWSE_SCHEMA))
    ]
    quality = Quality(index, pages, settings)
    grower = growth.Grower(*askers, quality, pages, settings)
    roots = RootDraw(pages, HeldOut([]), 10).draw_from_corpus(count, 1)
    clients = [asker.model for asker in askers]
    trees = asyncio.run(growth.grow_trees(roots, grower, clients, index, settings))
    return trees, grower.refused


def word(
    trees: pl.DataFrame, pages: PageStore, rates: dict[str, float] | None = None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The questions of finished trees and the report of their writing."""
    writer = Asker(Scripted("writer", rates), "Write.", writing.QUESTION_SCHEMA, 4000)
    written, report = asyncio.run(
        writing.write_questions(trees, writer, pages, Trees(max_failed_share=0.05))
    )
    return [row for row in written.iter_rows(named=True) if row["question"]], report


@pytest.fixture(scope="module")
def trees(index: BM25Index, pages: PageStore) -> pl.DataFrame:
    return grow(index, pages, 120)[0]


@pytest.fixture(scope="module")
def rows(trees: pl.DataFrame, pages: PageStore) -> list[dict[str, Any]]:
    return word(trees, pages)[0]


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    return world.build_world(CONFIG["cities_per_country"], details=True).facts


def test_grown_trees_differ_in_size_depth_and_facts(
    trees: pl.DataFrame, rows: list[dict[str, Any]]
) -> None:
    assert len(rows) > 0.4 * trees.height
    assert set(trees["fault"]) <= {"", "implied", "over_determined"}
    assert {row["vertices"] for row in rows} == {3, 4, 5, 6}
    assert {len(row["levels"]) for row in rows} == {1, 2, 3}
    claims = " ".join(node["claim"] for row in rows for node in row["nodes"])
    for words in ("is a city in", "at latitude", "at longitude", "The capital of", "borders"):
        assert words in claims
    assert len({row["question"].split()[0] for row in rows}) == 3


def test_every_question_has_the_one_answer_that_brute_force_finds(
    rows: list[dict[str, Any]], facts: dict[str, Any]
) -> None:
    right = [find_answers(row["question"], facts) == [row["answer"]] for row in rows]
    assert sum(right) / len(right) >= 0.99
    for row in rows:
        inner = {node["parent"] for node in row["nodes"]} - {""}
        hidden = [node["entity"] for node in row["nodes"] if node["id"] in inner]
        assert not find_name(row["question"], hidden), row["question"]


def roll_out(
    index: BM25Index,
    rows: list[dict[str, Any]],
    rates: dict[str, float] | None = None,
    *,
    refine: bool = False,
    limits: Limits = LIMITS,
) -> list[dict[str, Any]]:
    """One rollout per question, as the workflow does it."""
    refiner = Refiner(
        Scripted("refiner"), "Refine.", seed=1, max_document_chars=1000, max_failed_share=0
    )
    harness = loop.Harness("Answer.", "p", limits, refiner if refine else None)
    policy: Any = loop.Policy(Scripted("teacher", rates), harness)

    async def run() -> list[dict[str, Any]]:
        done = []
        for number, row in enumerate(rows):
            golds = (row["answer"],)
            task = loop.Attempt(row["id"], row["question"], golds, "tree", (), 0, number)
            rollout, _ = await loop.rollout(task, policy, Searcher(index))
            done.append({**rollout, "levels": row["levels"]})
        return done

    return asyncio.run(run())


@pytest.mark.parametrize("refine", [False, True])
def test_the_agent_answers_by_searching_level_by_level(
    index: BM25Index, rows: list[dict[str, Any]], refine: bool
) -> None:
    rollouts = roll_out(index, rows, refine=refine)
    right = [done["answer"] == row["answer"] for done, row in zip(rollouts, rows, strict=True)]
    assert sum(right) / len(right) >= 0.95
    several = 0
    for done, row in zip(rollouts, rows, strict=True):
        grammar.validate_trajectory(done["messages"])
        assert done["searches"] >= len(row["levels"])
        several += any(len(queries) > 1 for queries in done["queries"])
        hidden = {node["entity"] for node in row["nodes"] if node["entity"]}
        assert not any(query in hidden for queries in done["queries"] for query in queries)
        if done["answer"] == row["answer"]:
            seen = {name for names in done["retrieved_ids"] for name in names}
            assert all(seen.issuperset(level) for level in row["levels"])
            assert judge(done)
    assert several > 5


def test_the_agent_knows_no_facts() -> None:
    question = "Which city at latitude 1.0 N is in the country that borders Narnia?"
    places = (
        ("country borders Narnia", '"Archenland"\nA country. Borders Narnia.'),
        (
            "city Archenland latitude 1.0 N",
            '"Anvard"\nA city in Archenland with 9 people. Latitude 1.0 N. Longitude 2.0 E.',
        ),
    )
    messages = [{"role": "user", "content": question}]
    for query, contents in places:
        text = ask(messages)
        assert grammar.parse_turn(text).queries == (query,)
        observation = grammar.render_observation([(query, [{"contents": contents}])], 500)
        messages += [
            {"role": "assistant", "content": text},
            {"role": "tool", "content": observation},
        ]
    turn = grammar.parse_turn(ask(messages))
    assert turn.answer == "Anvard" and "Anvard" in turn.think


def test_the_agent_tries_other_queries_and_then_gives_up() -> None:
    messages = [{"role": "user", "content": "Which country borders Narnia and borders Calormen?"}]
    asked: list[tuple[str, ...]] = []
    for _ in range(5):
        text = ask(messages)
        turn = grammar.parse_turn(text)
        if turn.answer is not None:
            break
        asked.append(turn.queries)
        results: Any = [(query, []) for query in turn.queries]
        messages += [
            {"role": "assistant", "content": text},
            {"role": "tool", "content": grammar.render_observation(results, 500)},
        ]
    assert asked == [
        ("country borders Narnia", "country borders Calormen"),
        ("country borders Narnia borders Calormen",),
        ("country Narnia", "country Calormen"),
    ]
    assert turn.answer


def test_it_takes_a_guess_when_no_search_is_left(rows: list[dict[str, Any]]) -> None:
    messages = [
        {"role": "user", "content": rows[0]["question"]},
        {"role": "assistant", "content": "<think>a</think>\n<search>b</search>"},
        {"role": "tool", "content": grammar.render_notice(loop.NO_SEARCH_LEFT)},
    ]
    assert grammar.parse_turn(ask(messages)).answer
    forced = [*messages[:1], {"role": "assistant", "content": grammar.FORCED_PREFIX}]
    assert grammar.parse_turn(grammar.FORCED_PREFIX + ask(forced)).answer


def test_the_refiner_keeps_what_fits_and_a_few_near_misses() -> None:
    question = "Which city at latitude 1.0 N is in the country that borders Narnia?"
    near = "A city in Archenland with 9 people. Time zone A/B. Latitude {} N. Longitude 2.0 E."
    passages = [
        *({"id": f"near{n}", "contents": f'"N{n}"\n{near.format(f"{n}.5")}'} for n in range(4)),
        {"id": "right", "contents": f'"Anvard"\n{near.format("1.0")}'},
        {"id": "land", "contents": '"Archenland"\nA country. Capital Anvard. Borders Narnia.'},
    ]
    query = "city Archenland latitude 1.0 N"
    kept = refine(question, query, passages)
    assert [passage["id"] for passage in kept] == ["right", "near0", "near1"]
    assert kept[0]["contents"].endswith(
        "\nA city in Archenland with 9 people. Latitude 1.0 N. Longitude 2.0 E."
    )
    assert kept == refine(question, f"{query} {mistakes.REWORDINGS[0]}", passages)
    (land,) = refine(question, "country borders Narnia", passages)
    assert land["contents"] == '"Archenland"\nA country. Borders Narnia.'
    assert refine(question, "capital words", passages)
    snippet = {"id": "cut", "contents": '"Anvard"\n... Latitude 1.0 N. Longitude 2.0 E.'}
    (cut,) = refine(question, query, [snippet])
    assert cut["contents"] == '"Anvard"\nLatitude 1.0 N. Longitude 2.0 E.'


def refine(question: str, query: str, passages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    request = render_request(question, query, passages, 1000)
    text = ask([{"role": "user", "content": request}], FINDINGS_SCHEMA)
    return read_findings(json.loads(text), passages)


def test_tags_of_tree_questions(rows: list[dict[str, Any]]) -> None:
    domains = set()
    for row in rows:
        tags = json.loads(ask([{"role": "user", "content": row["question"]}], TAGS))
        assert 2 <= len(tags["key_points"]) <= 4
        assert all(point in row["question"] or point == "place" for point in tags["key_points"])
        domains.add(tags["domain"])
    assert len(domains) == 3


def test_the_verifier_reads_the_documents_and_nothing_else(rows: list[dict[str, Any]]) -> None:
    documents = [
        {"number": 1, "title": "Anvard", "text": "A city in Archenland with 9 people."},
        {"number": 2, "title": "Tashbaan", "text": "A city in Calormen with 9 people."},
        {"number": 3, "title": "Archenland", "text": "A country. Borders Narnia."},
    ]
    request = {"question": "Which city is in the country that borders Narnia?"}
    full = {**request, "documents": documents}
    assert json.loads(ask(full, VERIFY))["answers"] == ["Anvard"]
    assert json.loads(ask({**request, "documents": documents[:2]}, VERIFY))["answers"] == []
    twice = [*documents, {"number": 4, "title": "Ettins", "text": documents[0]["text"]}]
    assert json.loads(ask({**request, "documents": twice}, VERIFY))["answers"] == [
        "Anvard",
        "Ettins",
    ]
    other = {"question": "who wrote the origin of species", "documents": documents}
    assert json.loads(ask(other, VERIFY))["answers"] == []
    with pytest.raises(json.JSONDecodeError):
        json.loads(ask(full, VERIFY, {"verifier_prose": 1}))


def test_the_solver_remembers_little(rows: list[dict[str, Any]]) -> None:
    right = 0
    for row in rows:
        answer = json.loads(ask({"question": row["question"]}, SOLVE))["answer"]
        right += answer == row["answer"]
    assert right / len(rows) < 0.1
    easy = {"question": "Which city at latitude 48.9 N is in France?"}
    answers = {json.loads(ask(easy, SOLVE, seed=seed))["answer"] for seed in range(20)}
    assert answers == {"Paris", "Lyon", "Marseille"}


def judge(rollout: dict[str, Any]) -> bool:
    messages = [
        {"role": message["role"], "content": message["content"]}
        for message in rollout["messages"]
        if message["role"] in ("assistant", "tool")
    ]
    request = {"question": rollout["question"], "trajectory": messages}
    verdict = json.loads(ask(request, GENUINE_SCHEMA))
    assert verdict["reason"]
    return verdict["genuine"]


def test_a_shortcut_is_one_search_for_the_whole_question(
    index: BM25Index, rows: list[dict[str, Any]]
) -> None:
    deep = [row for row in rows if len(row["levels"]) > 1]
    reached = 0
    for done in roll_out(index, deep, {"shortcut": 1}):
        assert done["queries"] == [[done["question"]]]
        assert done["turns"] == 2 and done["answer"]
        assert not judge(done)
        reached += measure_levels_reached(SimpleRollout(done)) == 1
    assert reached < len(deep)
    flat = [row for row in rows if len(row["levels"]) == 1]
    assert roll_out(index, flat, {"shortcut": 1}) == roll_out(index, flat)
    some = [
        done["queries"][0] == [done["question"]]
        for done in roll_out(index, deep, {"shortcut": 0.4})
    ]
    assert 0.2 < sum(some) / len(some) < 0.6


class SimpleRollout:
    """What a mechanical rule needs of `curation.rollouts.Rollout`."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.row = row


def test_the_judge_wants_evidence(index: BM25Index, rows: list[dict[str, Any]]) -> None:
    done = roll_out(index, rows[:1])[0]
    assert judge(done)
    unseen = [
        *done["messages"][:-1],
        {"role": "assistant", "content": ("<think>I know it.</think>\n<answer>Atlantis</answer>")},
    ]
    assert not judge({**done, "messages": unseen})
    assert not judge({**done, "messages": done["messages"][-1:]})


FAULTS = {
    "planner_prose": {"not_json"},
    "planner_illegal": {"illegal_action", "illegal_target"},
    "browser_prose": {"not_json"},
    "browser_rewrites": {"old_node_changed"},
    "browser_drops_root": {"root_dropped"},
    "browser_invents_link": {"link_not_on_page", "illegal_action"},
    "browser_huge": {"too_large"},
}


FEW = 25


@pytest.fixture(scope="module")
def usual_growth(index: BM25Index, pages: PageStore) -> tuple[pl.DataFrame, Counter[str]]:
    return grow(index, pages, FEW)


@pytest.mark.parametrize("kind", FAULTS)
def test_each_mistake_is_refused_for_what_it_is(
    index: BM25Index,
    pages: PageStore,
    usual_growth: tuple[pl.DataFrame, Counter[str]],
    kind: str,
) -> None:
    plain, usual = usual_growth
    trees, refused = grow(index, pages, FEW, {kind: 0.3})
    added = {fault for fault in refused if fault not in usual}
    assert added and added <= FAULTS[kind]
    # Most steps succeed at another try, so that trees still come to an end.
    assert trees.filter(pl.col("status") == "done").height > 0.5 * (
        plain.filter(pl.col("status") == "done").height
    )


def test_a_writer_that_leaks_names_a_hidden_place(
    trees: pl.DataFrame, pages: PageStore, rows: list[dict[str, Any]]
) -> None:
    finished = trees.filter(pl.col("id").is_in([row["id"] for row in rows])).head(30)
    leaking, report = word(finished, pages, {"writer_leaks": 1})
    # A root that the writer does not know is not leaked.
    assert report["leaked"] > 0.7 * finished.height
    some, report = word(finished, pages, {"writer_leaks": 0.3})
    assert report["refused_questions"]["leak"] > 0
    assert len(some) > 0.9 * finished.height > len(leaking)


ROLES = {
    "planner": growth.PLAN_SCHEMA,
    "browser": growth.BROWSE_SCHEMA,
    "writer": writing.QUESTION_SCHEMA,
    "solver": SOLVE,
    "verifier": VERIFY,
    "judge": GENUINE_SCHEMA,
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("content", ["plain text", "[]", "{}", '{"tree": {"id": "A"}}'])
def test_http_refuses_a_role_without_its_json(role: str, content: str) -> None:
    body = {
        "messages": [{"role": "user", "content": content}],
        "response_format": {"type": "json_schema", "json_schema": {"schema": ROLES[role]}},
    }
    with TestClient(endpoint.make_app({}, Ledger())) as client:
        reply = client.post("/v1/chat/completions", json={"model": "m", **body})
    assert reply.status_code == 400


def test_a_tree_that_it_has_no_words_for_is_refused(rows: list[dict[str, Any]]) -> None:
    nodes = random.Random(1).choice(rows)["nodes"]
    claim = {"target_id": "B", "claim": "A was founded by B."}
    child = {**nodes[1], "entity": "Romulus", "claims": [], "children": []}
    tree = {**nodes[0], "entity": None, "claims": [claim], "children": [child]}
    with pytest.raises(Refusal, match="tree into words: 'A was founded by B"):
        ask({"tree": tree}, writing.QUESTION_SCHEMA)
