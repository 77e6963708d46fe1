"""The preset InfoSeek from end to end: trees, filters, rejection sampling, two SFT rounds, GRPO.

The tests share one small build (`built`), because a build takes minutes.
"""

import json
import subprocess
import sys

import polars as pl
import pytest

from helpers.checkout import ROOT, TARGET, copy_repository
from helpers.scripts import run_script
from helpers.worlds import find_answers
from searchtrain.core.files import read_json
from searchtrain.data import schemas
from searchtrain.demo.world import build_world

GRPO = "out/results/grpo/test.json"
GALLERY = "out/results/trees/gallery.html"
TARGETS = [TARGET, GRPO, GALLERY]
PRESET = ["config/presets/infoseek.yaml", "tests/workflow/small_infoseek.yaml", "python.yaml"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The small build of the preset; everything up to the test of the student after GRPO."""
    checkout = copy_repository(tmp_path_factory.mktemp("preset"))
    python = ROOT / ".venv-trl/bin/python"
    (checkout.path / "python.yaml").write_text(json.dumps({"grpo": {"python": str(python)}}))
    ended = checkout.run(*TARGETS, configfiles=PRESET)
    assert ended.returncode == 0, ended.stdout[-6000:]
    return checkout


@pytest.fixture(scope="module")
def trees(results):
    return schemas.read_table(results / "tree_questions.parquet", schemas.TreeQuestions)


@pytest.fixture(scope="module")
def facts():
    return build_world(30, details=True).facts


def test_no_traffic_leaves_this_machine(built):
    assert built.left_machine() == ""


def test_a_brute_force_solver_finds_one_answer_to_every_kept_question(trees, facts):
    kept = trees.filter("kept")
    assert kept.height >= 20 and kept["vertices"].is_between(3, 6).all()
    unlike = [
        (row["question"], row["answer"], found)
        for row in kept.iter_rows(named=True)
        if (found := find_answers(row["question"], facts)) != [row["answer"]]
    ]
    assert not unlike


def test_no_kept_question_names_its_answer_or_an_inner_node(trees):
    for row in trees.filter("kept").iter_rows(named=True):
        parents = {node["parent"] for node in row["nodes"]}
        hidden = {node["entity"] for node in row["nodes"] if node["id"] in parents}
        assert row["answer"] in hidden
        assert not [name for name in hidden if f" {name} " in row["question"].replace("?", " ")]


def test_faulty_steps_are_counted_and_never_pass_for_done(results, trees):
    grown = schemas.read_table(results / "trees.parquet", schemas.Trees)
    assert (grown.filter(pl.col("status") == "truncated")["fault"] != "").all()
    assert (grown.filter(pl.col("status") != "truncated")["fault"] == "").all()
    assert set(trees["id"]) <= set(grown.filter(pl.col("status") == "done")["id"])
    faults = read_json(results / "trees_report.json")["refused_steps"]
    assert set(faults) >= {"not_json", "too_large", "link_not_on_page", "root_dropped"}
    assert {"old_node_changed"} & set(faults)


def test_every_filter_leaves_its_verdict(results, trees):
    assert (trees["kept"] == (trees["difficult"] & trees["verifiable"])).all()
    assert trees.filter("kept")["closed_book"].list.len().min() >= 1
    held_out = read_json(results / "tree_test.json")
    assert len(held_out) == 5 == trees.filter(pl.col("split") == "test").height
    questions = schemas.read_table(results / "questions.parquet", schemas.Questions)
    assert set(questions["origin"]) == {"seed", "tree"}
    assert not {row["question"] for row in held_out} & set(questions["question"])
    report = read_json(results / "tree_questions_report.json")
    assert {"vertices", "count", "dollars"} <= set(report["statistics"][0])


def test_a_tree_is_drawn_in_the_gallery_and_told_by_its_id(results, trees):
    page = (results / "trees/gallery.html").read_text()
    kept = trees.filter("kept").row(0, named=True)
    assert kept["id"] in page and "kept: " in page and "cut short: " in page
    ended = run_script("explain", kept["id"], "--results", results)
    assert ended.returncode == 0, ended.stderr
    assert kept["nodes"][1]["claim"] in ended.stdout and kept["question"][:40] in ended.stdout
    later = schemas.read_table(results / "rounds/2/trajectories.parquet", schemas.Trajectories)
    ended = run_script("explain", f"rounds/2/{later['id'][0]}", "--results", results)
    told = "".join(ended.stdout.split())  # a long path goes on in the next line
    assert ended.returncode == 0 and "rounds/2/trajectories.parquet,row0" in told


def test_shortcuts_are_judged_and_rejected(results):
    verdicts = schemas.read_table(results / "curation.parquet", schemas.Verdicts)
    assert {"levels_reached", "searches_per_level", "genuine"} <= set(verdicts["rule"])
    curated = schemas.read_table(results / "curated.parquet", schemas.Curated)
    judged = schemas.read_table(results / "shortcuts.parquet", schemas.Shortcuts)
    assert judged.height > 0
    refused = judged.filter(~pl.col("genuine"))["id"]
    assert not set(refused) & set(curated["id"])
    assert set(curated["source"]) >= {"trees"}


def test_the_request_of_a_judge_is_told_with_its_verdict(built, results):
    judged = schemas.read_table(results / "shortcuts.parquet", schemas.Shortcuts)
    ended = subprocess.run(
        [sys.executable, "scripts/explain.py", judged["id"][0], "--results", results, "--json"],
        cwd=built.path, capture_output=True, text=True, env=built.environment(),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    chapters = {each["title"]: each["facts"] for each in json.loads(ended.stdout)["chapters"]}
    assert chapters["curation"]["judged genuine: request"]["in"] == "shortcuts"


def test_the_second_round_learns_from_the_first_ones_student(results):
    rolled = schemas.read_table(results / "rounds/2/trajectories.parquet", schemas.Trajectories)
    assert rolled.height == 12
    assert set(rolled["lineage"].struct.field("model")) == {"student"}
    first = read_json(results / "rounds/1/checkpoint/manifest.json")
    last = read_json(results / "checkpoint/manifest.json")
    assert last["base"] != first["base"] and last["weights"] != first["weights"]


def test_grpo_answers_the_test_and_keeps_its_history(results):
    test = [row["id"] for row in read_json(results / "world/test.json")]
    for name in ("test.json", "grpo/test.json"):
        assert [row["id"] for row in read_json(results / name)] == test
    history = [json.loads(line) for line in (results / "grpo/history.jsonl").open()]
    assert len(history) == 2 and {"reward", "searches"} <= set(history[0])
    manifest = read_json(results / "grpo/checkpoint/manifest.json")
    assert manifest["base"] == read_json(results / "checkpoint/manifest.json")["weights"]


def test_held_out_tree_questions_are_scored_apart(results):
    benchmarks = read_json(results / "metrics.json")["benchmarks"]
    assert benchmarks["n"] == 5 and set(benchmarks["by_type"]) == {"trees"}


def test_a_second_run_has_nothing_to_do(built):
    ended = built.run(*TARGETS, configfiles=PRESET)
    assert ended.returncode == 0 and "Nothing to be done" in ended.stdout
