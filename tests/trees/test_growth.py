"""Growing trees over a small linked corpus with a real index: legality, quality, retries, ends."""

import asyncio
import json
from collections import Counter
from dataclasses import replace

import polars as pl
import pytest

from helpers.trees import attribute, entity
from searchtrain.config import Index, Trees
from searchtrain.core.errors import InputError, ModelError, SearchError, SearchTrainError
from searchtrain.data import schemas
from searchtrain.models.asker import Asker
from searchtrain.models.model import Completion
from searchtrain.models.role import Role
from searchtrain.search.bm25 import BM25Index
from searchtrain.search.index import build_index
from searchtrain.trees.growth import (
    BROWSE_SCHEMA,
    PLAN_SCHEMA,
    Grower,
    grow_trees,
    report_growth,
)
from searchtrain.trees.pages import PageStore
from searchtrain.trees.quality import Quality
from searchtrain.trees.roots import HeldOut, RootDraw
from searchtrain.trees.statistics import describe_trees, make_infoseek_rows
from searchtrain.trees.tree import TreeFault, unflatten
from searchtrain.trees.writing import QUESTION_SCHEMA, write_questions

CITIES = [
    # title, country, latitude, longitude
    ("Aville", "Norland", "45 N", "4 E"),
    ("Bville", "Norland", "45 N", "9 E"),
    ("Cville", "Norland", "50 N", "4 E"),
    ("Dville", "Norland", "50 N", "9 E"),
    ("Eville", "Sudland", "45 N", "4 E"),
    ("Fville", "Sudland", "50 N", "30 E"),
    ("Gville", "Ostland", "60 N", "30 E"),
    ("Iville", "Sudland", "60 N", "9 E"),
]
COUNTRIES = [
    # title, currency, continent, borders
    ("Norland", "NOC", "Europe", ["Sudland", "Ostland"]),
    ("Sudland", "EUR", "Europe", ["Norland", "Ostland"]),
    ("Ostland", "EUR", "Asia", ["Norland", "Sudland"]),
    ("Westland", "EUR", "Asia", []),
]


def write_corpus(path, extra=()):
    rows = [
        {
            "id": title.lower(),
            "contents": f'"{title}"\nA city in {country}. Latitude {north}. Longitude {east}.',
            "links": [country.lower()],
        }
        for title, country, north, east in CITIES
    ] + [
        {
            "id": title.lower(),
            "contents": f'"{title}"\nA country. Currency code {code}. Continent {continent}.'
            + (f" Borders {', '.join(borders)}." if borders else ""),
            "links": [name.lower() for name in borders],
        }
        for title, code, continent, borders in COUNTRIES
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *extra]))
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("trees") / "corpus.jsonl")


@pytest.fixture(scope="module")
def index(corpus):
    build_index(corpus, corpus.parent / "index", Index())
    return BM25Index(corpus.parent / "index", corpus)


@pytest.fixture(scope="module")
def pages(corpus):
    return PageStore(corpus)


class Counted:
    """A search that remembers what it was asked."""

    def __init__(self, inner):
        self.inner = inner
        self.queries = []

    async def search(self, queries, topk, exclude=()):
        self.queries += queries
        return await self.inner.search(queries, topk)

    def stop(self):
        pass


class FakeModel:
    """Answers requests by a function of the request's object; remembers them."""

    def __init__(self, name, answer):
        self.role = Role(name, "m", price={"prompt": 1e6, "completion": 1e6}, concurrency=4)
        self.usage = Counter()
        self.asked = []
        self.seeds = []
        self._answer = answer

    async def complete(self, messages, *, seed, schema):
        await asyncio.sleep(0)
        request = json.loads(messages[1]["content"])
        self.asked.append(request)
        self.seeds.append(seed)
        text = self._answer(request)
        if isinstance(text, Exception):
            raise text
        return Completion(text if isinstance(text, str) else json.dumps(text), "stop", 1, 2, False)

    def cost(self, cached=False):
        return 0.0

    def stop(self):
        pass

    async def close(self):
        pass


def plan(*actions):
    """A Planner that takes these (action, target) pairs by the size of the tree, then ends."""

    def answer(request):
        tree = request["tree"]
        number = 0 if tree is None else sum(1 for _ in walk(tree)) - 1
        legal = [entry["action"] for entry in request["legal"]]
        end = ("done" if "done" in legal else "quit", "")
        action, target = actions[number] if number < len(actions) else end
        return {"reason": "r", "action": action, "target": target}

    return answer


def walk(node):
    yield node
    for child in node["children"]:
        yield from walk(child)


def add_child(tree, target, child, claim):
    """The tree as JSON with one child more."""
    tree = json.loads(json.dumps(tree))
    node = next(node for node in walk(tree) if node["id"] == target)
    node["children"].append(child)
    node["claims"].append({"target_id": child["id"], "claim": claim})
    return tree


def browse(request, claim=None):
    """A Browser that knows this world: the country of a city, the first neighbour of a country."""
    page, new = request["page"], request["next_id"]
    tree, target = request["tree"], request["target"] or "A"
    if tree is None:
        kind = "city" if page["text"].startswith("A city") else "country"
        tree = entity("A", page["title"], page["id"], kind).to_json()
    if request["action"] == "blur":
        facts = [text for text in page["text"].split(". ") if "tude " in text or "Curr" in text]
        said = [claim["claim"] for node in walk(tree) for claim in node["claims"]]
        claims = [f"{target} lies at {fact[0].lower()}{fact[1:].rstrip('.')}." for fact in facts]
        text = claim or next(text for text in claims if text not in said)
        child = attribute(new, page["id"]).to_json()
    else:
        link = page["links"][0]
        is_city = page["text"].startswith("A city")
        text = claim or (f"{target} is a city in {new}." if is_city else f"{target} borders {new}.")
        child = entity(new, link["title"], link["id"], "country").to_json()
    return {"reason": "r", "tree": add_child(tree, target, child, text)}


class Garden:
    """A grower with fake models over the small corpus."""

    def __init__(self, pages, index, planner, browser=browse, **settings):
        self.settings = Trees(**{"max_failed_share": 1.0, "max_steps": 30, **settings})
        self.planner = FakeModel("planner", planner)
        self.browser = FakeModel("browser", browser)
        self.search = Counted(index)
        self.pages = pages
        limit = self.settings.max_reply_chars
        self.grower = Grower(
            Asker(self.planner, "Plan.", PLAN_SCHEMA, limit),
            Asker(self.browser, "Browse.", BROWSE_SCHEMA, limit),
            Quality(self.search, pages, self.settings),
            pages,
            self.settings,
        )

    def grow(self, *names):
        roots = [self.pages.read(name) for name in names]
        clients = [self.planner, self.browser]
        return asyncio.run(grow_trees(roots, self.grower, clients, self.search, self.settings))


INIT = ("initialise", "")
SMALL = plan(INIT, ("blur", "A"), ("blur", "A"))


def test_a_tree_grows_until_every_inner_node_is_unique(pages, index):
    garden = Garden(pages, index, SMALL, min_vertices=3, max_vertices=4)
    row = garden.grow("aville").row(0, named=True)
    assert (row["status"], row["fault"], row["steps"], row["vertices"]) == ("done", "", 3, 4)
    assert row["answer"] == "Aville" and row["levels"] == [["aville"]]
    assert [node["claim"] for node in row["nodes"]] == [
        "", "A is a city in B.", "A lies at latitude 45 N.", "A lies at longitude 4 E."
    ]  # fmt: skip
    assert [node["candidates"] for node in row["nodes"]] == [1, -1, -1, -1]
    # Four plans and three steps, one prompt and two completion tokens each, at a dollar a token.
    assert row["cost"] == 21
    # The Planner was told how many pages fit: four cities of Norland, two at 45 N, one at 4 E.
    assert [request["nodes"] for request in garden.planner.asked] == [
        [], [{"id": "A", "candidates": 4}], [{"id": "A", "candidates": 2}],
        [{"id": "A", "candidates": 1}],
    ]  # fmt: skip
    assert garden.browser.asked[1]["page"] == {
        "id": "aville",
        "title": "Aville",
        "text": "A city in Norland. Latitude 45 N. Longitude 4 E.",
        "links": [],
    }


def test_what_is_legal_is_told_and_nothing_else_is_taken(pages, index):
    garden = Garden(pages, index, SMALL, min_vertices=4, max_vertices=5, attempts=1)
    garden.grow("aville")
    legal = [
        {entry["action"]: entry["targets"] for entry in request["legal"]}
        for request in garden.planner.asked
    ]
    assert legal == [
        {"initialise": [], "quit": []},
        {"blur": ["A", "B"], "extend": ["B"], "quit": []},
        {"blur": ["A", "B"], "extend": ["B"], "quit": []},
        # A has one candidate now, and one weak fact could not single B out.
        {"extend": ["B"], "done": [], "quit": []},
    ]
    for action, target, kind in (
        ("done", "", "illegal_action"),
        ("initialise", "", "illegal_action"),
        ("blur", "Z", "illegal_target"),
        ("extend", "A", "illegal_target"),
        ("quit", "A", "illegal_target"),
    ):
        garden = Garden(pages, index, plan(INIT, (action, target)), attempts=1)
        row = garden.grow("aville").row(0, named=True)
        assert (row["status"], row["fault"], row["vertices"]) == ("truncated", kind, 2)
        assert garden.grower.refused == {kind: 2}
        assert "legal are" in garden.planner.asked[-1]["faults"][0]


def test_at_the_size_limit_only_the_end_is_legal(pages, index):
    garden = Garden(pages, index, SMALL, min_vertices=3, max_vertices=3)
    row = garden.grow("aville").row(0, named=True)
    assert garden.planner.asked[-1]["legal"] == [{"action": "quit", "targets": []}]
    assert (row["status"], row["fault"]) == ("truncated", "illegal_action")
    garden = Garden(pages, index, plan(INIT, ("blur", "A")), min_vertices=3, max_vertices=3)
    assert garden.grow("aville")["status"].to_list() == ["quit"]


def test_a_described_neighbour_counts_as_a_level(pages, index):
    steps = [INIT, ("blur", "A"), ("blur", "A"), ("extend", "B"), ("blur", "B")]

    def browser(request):
        if request["action"] == "blur" and request["target"] == "B":
            return browse(request, "B is on the continent Europe.")
        return browse(request)

    garden = Garden(pages, index, plan(*steps), browser, min_vertices=6, max_vertices=6)
    row = garden.grow("aville").row(0, named=True)
    assert (row["status"], row["fault"]) == ("done", "")
    assert row["levels"] == [["norland"], ["aville"]]
    assert {node["id"]: node["candidates"] for node in row["nodes"]}["B"] == 1
    # C is Sudland: Norland and Ostland border it, Norland and Sudland are in Europe.
    assert garden.planner.asked[4]["nodes"][1] == {"id": "B", "candidates": 2}


@pytest.mark.parametrize(
    ("claim", "kind"),
    [
        ("A lies at latitude 46 N.", "untraceable"),
        ("A is famous for its cheese.", "untraceable"),
        ("A has 7 Latitude bridges.", "untraceable"),
        ("A lies in Europe.", "untraceable"),
        ("A is a city with a latitude.", "implied"),
        ("A is it.", "untraceable"),
    ],
)
def test_a_claim_must_stand_on_the_page_and_add_something(pages, index, claim, kind):
    garden = Garden(
        pages, index, plan(INIT, ("blur", "A")),
        lambda request: browse(request, claim if request["action"] == "blur" else None),
        attempts=0,
    )  # fmt: skip
    row = garden.grow("aville").row(0, named=True)
    assert (row["status"], row["fault"], row["vertices"]) == ("truncated", kind, 2)


def test_no_claim_of_a_blurred_node_may_single_it_out(pages, index):
    garden = Garden(pages, index, plan(INIT, ("blur", "B")), attempts=0)
    row = garden.grow("aville").row(0, named=True)  # NOC is Norland's alone
    assert (row["status"], row["fault"]) == ("truncated", "over_determined")
    garden = Garden(pages, index, plan(INIT, ("blur", "B")), attempts=0)
    assert garden.grow("eville")["vertices"].to_list() == [3]  # three countries have EUR


def test_what_one_claim_implies_is_refused(corpus, pages, index):
    node = entity(
        "A", "Fville", "fville", "city",
        ("A lies at longitude 30 E.", attribute("B", "fville")),
        ("A lies at latitude 50 N and longitude 30 E.", attribute("C", "fville")),
    )  # fmt: skip
    quality = Quality(index, pages, Trees(topk=10))
    with pytest.raises(TreeFault) as caught:
        asyncio.run(quality.count_candidates(node))
    assert caught.value.kind == "over_determined"
    node = entity(
        "A", "Dville", "dville", "city",
        ("A lies at latitude 50 N.", attribute("B", "dville")),
        ("A is a city at latitude 50 N.", attribute("C", "dville")),
    )  # fmt: skip
    with pytest.raises(TreeFault) as caught:
        asyncio.run(quality.count_candidates(node))
    assert caught.value.kind == "implied"


def test_a_number_is_more_than_its_digits(tmp_path):
    towns = [
        {"id": name, "contents": f'"{name}"\nA town. Latitude {north} N. Longitude {east} E.',
         "links": ["norland"]}
        for name, north, east in (("p", "45.1", "9.0"), ("q", "45.9", "1.0"), ("r", "45.1", "7.5"))
    ]  # fmt: skip
    corpus = write_corpus(tmp_path / "corpus.jsonl", towns)
    build_index(corpus, tmp_path / "index", Index())
    node = entity(
        "A", "p", "p", "town",
        ("A lies at latitude 45.1 N.", attribute("B", "p")),
        ("A lies at longitude 9.0 E.", attribute("C", "p")),
    )  # fmt: skip
    pages = PageStore(corpus)
    quality = Quality(BM25Index(tmp_path / "index", corpus), pages, Trees(topk=10))
    with pytest.raises(TreeFault, match=r"longitude 9\.0 E\.' alone fits a single page"):
        asyncio.run(quality.count_candidates(node))
    wrong = "A lies at latitude 45.0 N."
    with pytest.raises(TreeFault, match=r"does not hold 45\.0"):
        quality.state_condition(node, node.children[0], wrong)


def test_passages_of_one_article_are_one_candidate(tmp_path):
    parts = [
        ("p1", "Ponte", "A town on a river. It was founded in 1204."),
        ("p2", "Ponte", "Its mill was founded in 1204, too."),
        ("q1", "Quay", "A town on a hill and a river."),
        ("q2", "Quay", "It has a church."),
        ("r1", "Rock", "A town on a hill, with a church."),
        ("s1", "Sand", "A farm on a hill."),
        ("t1", "Tarn", "A church by a lake."),
    ]
    rows = [
        {"id": key, "contents": f'"{title}"\n{text}', "links": ["norland"]}
        for key, title, text in parts
    ]
    corpus = write_corpus(tmp_path / "corpus.jsonl", rows)
    build_index(corpus, tmp_path / "index", Index())
    quality = Quality(BM25Index(tmp_path / "index", corpus), PageStore(corpus), Trees(topk=10))

    def count(page, *claims):
        children = ((claim, attribute(key, page)) for key, claim in zip("BC", claims, strict=True))
        return asyncio.run(quality.count_candidates(entity("A", page, page, "town", *children)))

    with pytest.raises(TreeFault, match=r"founded in 1204.' alone fits a single page"):
        count("p1", "A was founded in 1204.", "A lies on a river.")
    # Quay has the hill on one page and the church on another.
    assert count("r1", "A lies on a hill.", "A has a church.") == 2


def test_candidates_link_to_the_page_that_a_claim_names(pages, index):
    # Ostland's page names Norland as often as a city's does, but "city" stands on cities only.
    node = entity(
        "A", "Aville", "aville", "city",
        ("A is a city in B.", entity("B", "Norland", "norland", "country")),
    )  # fmt: skip
    search = Counted(index)
    quality = Quality(search, pages, Trees(topk=10))
    assert asyncio.run(quality.count_candidates(node)) == 4
    assert search.queries == ["is a city in Norland."]
    asyncio.run(quality.count_candidates(node))
    assert len(search.queries) == 1
    wrong = replace(node.children[0], page="ostland")
    node = replace(node, children=(wrong,))
    # Nothing else links from a city with that word to this page, but the node itself always counts.
    assert asyncio.run(quality.count_candidates(node)) == 1


def test_a_refused_step_is_tried_again_with_the_reason(pages, index):
    def browser(request):
        if request["action"] == "blur" and not request["faults"]:
            return "I would rather not."
        if request["action"] == "blur" and len(request["faults"]) == 1:
            return {**browse(request), "tree": {**browse(request)["tree"], "kind": "town"}}
        return browse(request)

    garden = Garden(pages, index, SMALL, browser, attempts=2)
    row = garden.grow("aville").row(0, named=True)
    assert (row["status"], row["steps"]) == ("done", 7)
    assert garden.grower.refused == {"not_json": 2, "old_node_changed": 2}
    assert "no JSON object" in garden.browser.asked[2]["faults"][0]
    assert "'A' is not as it was" in garden.browser.asked[3]["faults"][1]
    assert garden.browser.asked[4]["faults"] == []


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("x" * 1_000_000, "too_large"),
        ("No.", "not_json"),
        ({"reason": "r"}, "schema"),
        (ModelError("slow", "timeout"), "timeout"),
    ],
)
def test_a_model_that_fails_for_good_truncates_the_tree(pages, index, reply, kind):
    garden = Garden(
        pages, index, SMALL, lambda request: browse(request) if not request["tree"] else reply
    )
    row = garden.grow("aville").row(0, named=True)
    assert (row["status"], row["fault"], row["vertices"]) == ("truncated", kind, 2)
    assert len(garden.browser.asked) == (2 if kind == "timeout" else 4)
    with pytest.raises(SearchTrainError, match=r"more than trees\.max_failed_share allows"):
        Garden(pages, index, SMALL, lambda _: reply, max_failed_share=0.1).grow("aville")


def test_refused_steps_never_end_the_stage(pages, index):
    garden = Garden(pages, index, plan(("done", "")), max_failed_share=0.0)
    assert garden.grow("aville", "bville")["fault"].to_list() == ["illegal_action"] * 2


def test_a_search_that_fails_truncates_the_tree(pages):
    class Broken:
        async def search(self, queries, topk, exclude=()):
            raise SearchError("down", "connection")

        def stop(self):
            pass

    row = Garden(pages, Broken(), SMALL).grow("aville").row(0, named=True)
    assert (row["status"], row["fault"], row["nodes"]) == ("truncated", "connection", [])


def test_a_fault_of_the_program_truncates_the_tree_and_counts_as_a_failure(pages):
    class Odd:
        async def search(self, queries, topk, exclude=()):
            return [[{"title": "no id"}] for _ in queries]

        def stop(self):
            pass

    row = Garden(pages, Odd(), SMALL).grow("aville").row(0, named=True)
    assert (row["status"], row["fault"], row["nodes"]) == ("truncated", "internal", [])
    with pytest.raises(SearchTrainError, match=r"internal 1.*KeyError: 'id'"):
        Garden(pages, Odd(), SMALL, max_failed_share=0.1).grow("aville")


def test_steps_are_limited(pages, index):
    garden = Garden(pages, index, SMALL, max_steps=2)
    row = garden.grow("aville").row(0, named=True)
    assert (row["status"], row["fault"], row["steps"]) == ("truncated", "max_steps", 2)


def test_a_tree_depends_on_its_root_and_the_seed_only(pages, index):
    names = ["aville", "bville", "cville", "eville"]
    one, other = (Garden(pages, index, SMALL) for _ in range(2))
    frame, turned = one.grow(*names), other.grow(*names[::-1])
    assert frame.sort("id").equals(turned.sort("id"))
    assert sorted(zip(one.planner.seeds, map(str, one.planner.asked), strict=True)) == sorted(
        zip(other.planner.seeds, map(str, other.planner.asked), strict=True)
    )
    assert set(Garden(pages, index, SMALL, seed=2).grow("aville")["id"]) == {"tree-aville"}
    assert len(set(one.planner.seeds)) == 4


def test_the_report_counts_ends_and_refusals(pages, index):
    garden = Garden(pages, index, SMALL)
    frame = garden.grow("aville", "gville")
    schemas.validate_table(frame, schemas.Trees, "trees")
    report = report_growth(frame, garden.grower.refused, {"no_links": 2}, 3, [garden.planner])
    # Gville is Ostland's only city, so that it may not be blurred at all.
    assert report["status"] == {"done": 1, "quit": 0, "truncated": 1}
    assert report["truncated_by"] == {"illegal_target": 1}
    assert report["refused_steps"] == {"illegal_target": 3}
    assert report["vertices"] == {"4": 1}
    assert (report["passed_over"], report["broken_links"]) == ({"no_links": 2}, 3)


def test_links_that_lead_nowhere_are_left_out_counted_and_refused(tmp_path, index):
    town = {
        "id": "hville",
        "contents": '"Hville"\nA city in Norland. Twin of Atlantis.',
        "links": ["atlantis", "norland", "norland", "hville"],
    }
    pages = PageStore(write_corpus(tmp_path / "corpus.jsonl", [town]))
    page = pages.read("hville")
    assert (page.links, page.broken, pages.broken_links) == (("norland",), ("atlantis",), 1)
    assert [link.title for link in pages.list_links(page, (), 5)] == ["Norland"]
    assert pages.list_links(page, {"norland"}, 5) == []
    assert pages.read("atlantis") is None and "norland" in pages

    def browser(request):
        answer = browse(request, "A is the twin of B.")
        child = answer["tree"]["children"][0]
        child.update(entity="Atlantis", page="atlantis")
        return answer

    row = Garden(pages, index, SMALL, browser, attempts=0).grow("hville").row(0, named=True)
    assert (row["status"], row["fault"]) == ("truncated", "broken_link")


def test_a_corpus_without_links_is_refused(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text(json.dumps({"id": "1", "contents": '"T"\ntext', "links": []}) + "\n")
    with pytest.raises(InputError, match=r"corpus\.jsonl: no passage has links"):
        PageStore(path)


def draw(pages, *questions, min_text=10):
    return RootDraw(pages, HeldOut(questions), min_text)


def test_roots_are_valid_seeded_and_not_in_held_out_questions(pages, caplog):
    roots = draw(pages, "In which country is AVILLE?").draw_from_corpus(5, 1)
    again = draw(pages, "In which country is AVILLE?").draw_from_corpus(3, 1)
    assert [page.id for page in roots[:3]] == [page.id for page in again]
    everything = draw(pages, "In which country is AVILLE?")
    found = {page.id for page in everything.draw_from_corpus(50, 1)}
    assert len(found) == 10 and not found & {"aville", "westland"}
    assert everything.passed_over == {"in_held_out_question": 1, "no_links": 1}
    assert "only 10 pages of the corpus can be roots" in caplog.text
    with pytest.raises(InputError, match=r"none of the pages .* lower trees\.min_text"):
        draw(pages, min_text=1000).draw_from_corpus(5, 1)


def test_roots_from_answers_are_pages_that_hold_them(pages, index):
    answers = ["Norland", "GVILLE", "30 E", "Atlantis", "Europe"]
    drawing = draw(pages)
    roots = asyncio.run(drawing.draw_from_answers(answers, 9, 1, index))
    ids = [page.id for page in roots]
    assert {"norland", "gville"} <= set(ids) and len(ids) == len(set(ids))
    assert set(ids) <= {"norland", "gville", "fville", "sudland"}
    assert drawing.passed_over["not_found"] == 1
    again = asyncio.run(draw(pages).draw_from_answers(answers[::-1], 9, 1, index))
    assert [page.id for page in again] == ids


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"roots": "web"}, "trees.roots: 'web'"),
        ({"count": 0}, "trees.count: 0"),
        ({"min_vertices": 5, "max_vertices": 4}, r"trees\.max_vertices: 4 .*\(5\) to 26"),
        ({"max_vertices": 27}, "whole number from 2 to 26"),
    ],
)
def test_settings_out_of_range(settings, said):
    with pytest.raises(InputError, match=said):
        Trees.parse(settings, "trees")


def write(trees, pages, answer, **settings):
    model = FakeModel("writer", answer)
    writer = Asker(model, "Write.", QUESTION_SCHEMA, 1000)
    settings = Trees(**{"max_failed_share": 1.0, **settings})
    frame, report = asyncio.run(write_questions(trees, writer, pages, settings))
    schemas.validate_table(frame, schemas.WrittenTrees, "written")
    return frame, report, model


@pytest.fixture(scope="module")
def trees(pages, index):
    return Garden(pages, index, SMALL).grow("aville", "bville", "gville", "cville")


def ask(request):
    claims = " ".join(claim["claim"] for claim in request["tree"]["claims"])
    return {"question": f"Which city? {claims}"}


def test_every_finished_tree_gets_a_question_without_its_names(trees, pages):
    frame, report, model = write(trees, pages, ask)
    assert frame["answer"].to_list() == ["Aville", "Bville", "Cville"]
    assert all(frame["question"]) and not any(frame["leak"])
    assert (report["done"], report["written"], report["leaked"]) == (3, 3, 0)
    assert frame["cost"][0] == trees["cost"][0] + 3
    assert "ville" not in str(model.asked)
    assert "Norland" in str(model.asked)  # a leaf's name may stand in the question


def test_a_leak_is_written_again_and_never_let_out(trees, pages):
    def leak_once(request):
        return ask(request) if request["faults"] else {"question": "Is it BVILLE's? Or Aville"}

    frame, report, model = write(trees, pages, leak_once)
    assert all(frame["question"]) and not any(frame["leak"])
    assert report["refused_questions"] == {"leak": 2}
    assert len(set(model.seeds)) == len(model.seeds)
    faults = [request["faults"] for request in model.asked if request["faults"]]
    assert faults == [["The question names node A; describe it by its claims and kind."]] * 2
    frame, report, _ = write(trees, pages, lambda _: {"question": "Is it aville?"}, attempts=1)
    assert frame.filter(answer="Aville").select("question", "leak").row(0) == ("", "Aville")
    assert report["leaked"] == 1


def test_a_writer_that_fails_leaves_the_question_empty(trees, pages):
    frame, report, _ = write(trees, pages, lambda request: "prose")
    assert set(frame["question"]) == {""} and report["failed"] == {"not_json": 3}
    with pytest.raises(SearchTrainError, match=r"trees\.max_failed_share"):
        write(trees, pages, lambda request: "prose", max_failed_share=0.1)


def test_a_question_that_two_trees_share_has_no_answer_and_goes(trees, pages):
    frame, report, _ = write(trees, pages, lambda request: {"question": "Which city?"})
    assert frame.is_empty() and report["dropped"] == {"duplicate": 0, "ambiguous": 3}
    frame, report, _ = write(pl.concat([trees, trees]), pages, ask)
    assert frame.height == 3 and report["dropped"] == {"duplicate": 3, "ambiguous": 0}


def test_statistics_have_the_papers_shape():
    frame = pl.DataFrame(
        {
            "vertices": [3, 3, 4],
            "question": ["one two three", "one two", "one two three four"],
            "answer": ["a", "a b", "a"],
            "cost": [1.0, 2.0, 4.0],
            "closed_book": [["x"], ["x", "y"], []],
            "difficult": [True, False, False],
        }
    )
    assert describe_trees(frame) == [
        {"vertices": "3", "count": 2, "failure_percent": 50.0, "dollars": 3.0,
         "question_words": 2.5, "answer_words": 1.5},
        {"vertices": "4", "count": 1, "failure_percent": None, "dollars": 4.0,
         "question_words": 4.0, "answer_words": 1.0},
        {"vertices": "all", "count": 3, "failure_percent": 50.0, "dollars": 7.0,
         "question_words": 3.0, "answer_words": 1.33},
    ]  # fmt: skip


def test_infoseek_rows_are_nested_and_keep_every_state(trees, pages):
    frame, _, _ = write(trees, pages, ask)
    row = next(make_infoseek_rows(frame))
    assert row["hop_num"] == len(row["all_tree_states"]) == 3
    assert row["root"] == row["all_tree_states"][-1]
    assert row["root"]["question"] == frame["question"][0]
    assert row["root"]["claims"][0] == {"target_id": "B", "claim": "A is a city in B."}
    blurred = row["root"]["children"][1]
    assert (blurred["entity"], blurred["href"]) == ("None", "Aville")
    assert len(row["all_tree_states"][0]["children"]) == 1
    assert unflatten(frame["nodes"][0].to_list()).entity == "Aville"
