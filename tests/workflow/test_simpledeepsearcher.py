"""The preset SimpleDeepSearcher from end to end, over a web server with every kind of trouble.

The tests share one small build (`built`), because a build takes minutes; one that changes it
takes a copy (`own`).
"""

import collections
import shutil

import polars as pl
import pytest

from helpers.checkout import TARGET, copy_repository
from searchtrain.core.files import hash_file, read_json
from searchtrain.data import schemas

PRESET = ["config/presets/simpledeepsearcher.yaml", "tests/workflow/small_simpledeepsearcher.yaml"]
TARGETS = [TARGET, "out/results/defects.json", "out/results/figures/overview.html"]
LEDGERS = ["out/cache/laptop_web.ledger", "out/cache/scripted_teacher.ledger"]
FAILURES = {"http_404", "too_large", "timeout", "redirects", "private_address", "robots"}
"""What the trap pages of the laptop's web come to."""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The small build of the preset; everything up to test.json."""
    checkout = copy_repository(tmp_path_factory.mktemp("preset"))
    ended = checkout.run(*TARGETS, configfiles=PRESET)
    assert ended.returncode == 0, ended.stdout[-6000:]
    return checkout


@pytest.fixture(scope="module")
def trajectories(results):
    return schemas.read_table(results / "trajectories.parquet", schemas.Trajectories)


def test_no_traffic_leaves_this_machine(built):
    assert built.left_machine() == ""


def test_rollouts_read_web_pages_through_the_refiner(trajectories):
    searched = trajectories.filter(pl.col("searches") > 0)
    assert searched.height > 0.8 * trajectories.height
    ids = searched["retrieved_ids"].explode().explode().drop_nulls()
    assert ids.str.contains("^(http://atlas.test/|answer_box:|knowledge_graph:)").all()
    assert ids.str.contains(".pdf", literal=True).any()
    shown = searched["sources"].explode().explode().drop_nulls()
    assert 0 < shown.len() < ids.len()
    assert set(shown) <= set(ids)
    text = "".join(m["content"] for m in searched["messages"].explode() if m["role"] == "tool")
    for foreign in ("Cookie", "<script", "function(", "404", "Not Found"):
        assert foreign not in text


def test_the_report_counts_searches_pages_and_failures(results, trajectories):
    report = read_json(results / "trajectories_report.json")
    assert report["rollouts"]["run"] == trajectories.height
    assert report["search"]["searches"] > 0 and report["search"]["pages"] > 0
    assert report["models"]["refiner"]["requests"] > 0
    failed = {kind.removeprefix("page_failed_") for kind in report["search"]}
    assert failed >= FAILURES


def test_every_dimension_of_curation_has_its_verdicts(results):
    verdicts = schemas.read_table(results / "curation.parquet", schemas.Verdicts)
    rules = set(verdicts["rule"])
    assert {"valid_grammar", "language", "hedging_per_turn", "total_words"} <= rules
    assert {"all_correct", "distinct_sources", "exact_match"} <= rules
    curated = schemas.read_table(results / "curated.parquet", schemas.Curated)
    assert set(curated["id"]) == set(verdicts.filter("kept")["id"])
    assert curated["difficulty"].is_sorted()


def test_injected_mistakes_are_caught(results):
    report = read_json(results / "defects.json")
    for kind, figures in report["kinds"].items():
        if figures["detectable"] and figures["rollouts"]:
            assert figures["share"] >= 0.98, (kind, figures)
    assert sum(figures["rollouts"] > 0 for figures in report["kinds"].values()) >= 8
    assert report["clean"]["good"] > 50 and report["clean"]["share"] <= 0.01, report["clean"]


def test_the_judge_and_its_cost_stand_in_the_metrics(results):
    metrics = read_json(results / "metrics.json")
    assert {"judge", "substring", "by_source"} <= set(metrics["test"])
    assert metrics["test"]["em_strict"] <= metrics["test"]["substring"] <= 1
    judged = schemas.read_table(results / "judgements.parquet", schemas.Judgements)
    # After twelve steps the student often says nothing; a blank answer is wrong without asking.
    places = [results / name for name in ("predictions.parquet", "untrained/predictions.parquet")]
    answered = schemas.read_tables(places, schemas.Predictions).join(
        judged, on=["split", "question_id"]
    )
    blank = pl.col("answer") == ""
    assert answered.filter(blank).height and not answered.filter(blank)["correct"].any()
    assert metrics["judge_cost"]["requests"] <= answered.filter(~blank).height
    assert metrics["test"]["judge_invalid"] == 0
    # The base answers dev questions only where the answers of the test are unknown.
    asked = {split for split in schemas.SPLITS if not split.startswith("dev_")}
    assert set(judged["split"]) == asked


def test_benchmarks_are_answered_and_scored_apart(results):
    metrics = read_json(results / "metrics.json")["benchmarks"]
    assert metrics["n"] == 3
    assert {kind: part["n"] for kind, part in metrics["by_type"].items()} == {"2wiki": 2, "gaia": 1}
    assert set(metrics["by_source"]) == {"2wiki", "gaia_level1"}
    answered = read_json(results / "benchmark_predictions.json")
    assert [row["id"] for row in answered] == ["2wiki/2wiki_1", "2wiki/2wiki_2", "gaia/1"]
    assert "Never shown" not in (results / "benchmarks.json").read_text()


def test_other_chats_are_mixed_in_and_counted(results):
    records = read_json(results / "sft_dataset.json")
    report = read_json(results / "sft_report.json")
    curated = schemas.read_table(results / "curated.parquet", schemas.Curated)
    mixed = records[curated.height :]
    assert 0 < len(mixed) <= 3 and all(record["system"] == "" for record in mixed)
    assert report["mix"]["taken"] == len(mixed) and report["mix"]["available"] == 3
    manifest = read_json(results / "checkpoint/manifest.json")
    assert manifest["records"] == len(records)
    assert manifest["longer_than_cutoff"] == 0


def test_what_the_run_did_is_drawn(results):
    kept = schemas.read_table(results / "curated.parquet", schemas.Curated).height
    page = (results / "figures/overview.html").read_text()
    assert f'"label":"kept","value":{kept},' in page
    assert {"funnel.html", "scores.html", "task.html"} <= {
        file.name for file in (results / "figures").iterdir()
    }


def test_a_second_run_has_nothing_to_do(built):
    ended = built.run(*TARGETS, configfiles=PRESET)
    assert ended.returncode == 0 and "Nothing to be done" in ended.stdout


def test_a_rebuild_makes_no_outside_request_and_the_same_data(own):
    """No search, no page, no robots.txt, no failure asked for again, no answer of a model."""
    results = own.path / "out/results"
    names = ("sft_dataset.json", "trajectories.parquet", "curated.parquet", "test.json")
    before = {name: hash_file(results / name) for name in names}
    ledgers = {name: (own.path / name).read_bytes() for name in LEDGERS}
    assert all(collections.Counter(ledgers.values()).values())
    shutil.rmtree(results)
    ended = own.run(*TARGETS, configfiles=PRESET)
    assert ended.returncode == 0, ended.stdout[-6000:]
    assert {name: (own.path / name).read_bytes() for name in LEDGERS} == ledgers
    assert {name: hash_file(results / name) for name in names} == before
