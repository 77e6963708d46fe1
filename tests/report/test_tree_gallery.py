"""The gallery of research trees: a few of each fate, drawn whole, and nothing in it is run."""

import polars as pl
import pytest

from helpers import hostile
from helpers.checkout import ROOT
from helpers.chromium import needs_chromium, open_browser, open_page
from helpers.scripts import run_script
from searchtrain.data import schemas
from searchtrain.report.tree_gallery import SHOWN, nest
from searchtrain.trees.drawing import draw_tree

TEMPLATE = ROOT / "report/gallery.html.jinja"


def make_node(name, parent="", entity="", claim="", candidates=-1):
    return {
        "id": name, "parent": parent, "entity": entity, "page": entity or "Oslo", "claim": claim,
        "kind": "place" if entity else "attribute", "candidates": candidates,
    }  # fmt: skip


NODES = [
    make_node("A", entity="Oslo", candidates=1),
    make_node("B", "A", "Norway", "A is a city in B.", 3),
    make_node("C", "B", "Harald", "The king of B is C."),
    make_node("D", "A", claim="A lies at latitude 60 N."),
]


def make_tree(number, **change):
    """A kept tree, unless a test says otherwise."""
    return {
        "id": f"tree-{number}", "status": "done", "fault": "", "page": "Oslo", "answer": "Oslo",
        "aliases": ["Kristiania"], "vertices": 4, "nodes": NODES,
        "levels": [["Norway"], ["Oslo"]], "steps": 3, "cost": 0.0,
        "question": "Which city is it?", "leak": "", "closed_book": ["Bergen"],
        "difficult": True, "found": ["Oslo"], "verifiable": True, "error": "", "kept": True,
        "split": "train", **change,
    }  # fmt: skip


DROPPED = {"kept": False, "split": "none"}


def write(folder, *trees):
    """The two tables as a run leaves them: all trees, and the finished ones with verdicts."""
    frame = pl.DataFrame(list(trees), schema=schemas.empty_table(schemas.TreeQuestions).schema)
    grown = frame.select(schemas.empty_table(schemas.Trees).columns)
    schemas.write_table(grown, folder / "trees.parquet", schemas.Trees)
    done = frame.filter(pl.col("status") == "done")
    schemas.write_table(done, folder / "questions.parquet", schemas.TreeQuestions)
    out = folder / "trees/gallery.html"
    ended = run_script(
        "tree_gallery", "--trees", folder / "trees.parquet", "--template", TEMPLATE,
        "--questions", folder / "questions.parquet", "--out", out,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return out


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    trees = [make_tree(number) for number in range(SHOWN + 2)]
    trees += [
        make_tree("known", closed_book=["oslo"], difficult=False, **DROPPED),
        make_tree("two", found=["Oslo", "Bergen"], verifiable=False, **DROPPED),
        make_tree("quit", status="quit", **DROPPED),
        make_tree("cut", status="truncated", fault="implied", **DROPPED),
        make_tree("never", status="truncated", fault="not_json", nodes=[], **DROPPED),
    ]
    return write(tmp_path_factory.mktemp("gallery"), *trees)


def test_a_tree_is_nested_by_its_claims_with_levels_and_what_fits():
    root = nest(NODES, [["Norway"], ["Oslo"]])
    norway, fact = root["children"]
    assert (root["level"], norway["level"], fact["level"]) == (2, 1, None)
    assert (root["fits"], norway["fits"]) == ("1 page fits", "3 pages fit")
    assert [child["entity"] for child in norway["children"]] == ["Harald"]
    assert nest([], []) == {}
    assert draw_tree(NODES) == [
        "A Oslo (place, 1 page fits)",
        "├─ B Norway (place, 3 pages fit): A is a city in B.",
        "│  └─ C Harald (place): The king of B is C.",
        "└─ D a fact (attribute): A lies at latitude 60 N.",
    ]


@needs_chromium
def test_every_fate_has_its_group_readable_on_a_phone_and_a_desk(page):
    with open_browser() as browser:
        for width, dark in ((390, True), (1440, False)):
            with open_page(browser, page.as_uri(), width=width, dark=dark) as looks:
                seen = looks.page
                titles = seen.locator("h2").all_text_contents()
                assert titles == [
                    "kept: 4 vertices", "dropped: the solver knew the answer",
                    "dropped: the verifier found several answers", "given up",
                    "cut short: implied", "cut short: not json",
                ]  # fmt: skip
                drawn = [section.locator("article").count() for section in
                         seen.locator("section").all()]  # fmt: skip
                assert drawn == [SHOWN, 1, 1, 1, 1, 1]
                tree = seen.locator("article").first.inner_text()
                assert "A is a city in B." in tree and "Which city is it?" in tree
                assert "kept for train" in tree and "Bergen: wrong" in tree
                assert "never begun" in seen.locator("section").last.inner_text()
                assert not looks.faults and not looks.outside and not looks.is_wide()


@needs_chromium
def test_hostile_texts_are_shown_as_text(tmp_path):
    trees = [
        make_tree(name, answer=text, question=text, vertices=number,
                  nodes=[NODES[0], make_node("B", "A", text, f"A is {text}")])
        for number, (name, text) in enumerate(hostile.TEXTS.items(), 3)
    ]  # fmt: skip
    page = write(tmp_path, *trees)
    assert page.stat().st_size < 60_000
    with open_browser() as browser, open_page(browser, page.as_uri(), width=390) as looks:
        assert looks.page.title() == "Research trees"
        assert looks.page.evaluate("window.owned") is None
        text = looks.page.locator("main").inner_text()
        assert hostile.SCRIPT in text and hostile.IMAGE in text and "\\x1b]0;owned" in text
        assert "\u202e" not in text and "characters)" in text
        assert not looks.faults and not looks.outside and not looks.is_wide()
