"""Submissions side by side: what is built, what is best, what is the same, and what is missing."""

import json

import pytest

from helpers.scores import make_scores
from searchtrain.core.errors import InputError
from searchtrain.core.files import read_json
from searchtrain.data import schemas
from searchtrain.task.submissions import compare_submissions, format_submissions

COMMANDS = {name: f"snakemake results/{name}/test.json" for name in "abc"}


def build(folder, strict, *, records=2, answer="Oslo", f1=0.5, dev=100):
    """A folder of results of which the first questions of dev are right."""
    folder.mkdir(parents=True)
    rows = make_scores([number < strict * dev for number in range(dev)])
    schemas.write_table(rows, folder / "scores.parquet", schemas.Scores)
    scores = {"em_strict": strict, "em_normalised": strict, "f1": f1, "mean_searches": 1.5}
    form = {"answers": 1, "empty": 0, "broken": 0, "faults": {}}
    (folder / "metrics.json").write_text(json.dumps({"dev": scores, "test_json": form}))
    (folder / "sft_dataset.json").write_text(json.dumps([{"system": "s"}] * records))
    (folder / "test.json").write_text(json.dumps([{"id": 1, "predicted_answer": answer}]))


def test_the_best_on_dev_and_what_is_the_same(tmp_path):
    folders = {name: str(tmp_path / name) for name in "abc"}
    build(tmp_path / "a", 0.31, f1=0.4)
    build(tmp_path / "b", 0.31, answer="Rome")
    build(tmp_path / "c", 0.30, records=3)
    report = compare_submissions(folders, COMMANDS)
    assert report["best"] == ["b"]  # as many right, and a higher F1
    assert report["undecided"] == ["a", "c"]
    assert report["same_training_data"] == [["a", "b"]]
    assert report["same_answers"] == [["a", "c"]]
    assert [row["records"] for row in report["submissions"]] == [2, 2, 3]
    text = format_submissions(report)
    assert "Best on dev: b." in text and "The same training data: a, b;" in text
    assert "1 answers, 0 empty, 0 not short" in text


def test_settings_that_differ_and_the_steps_stand_under_the_table(tmp_path):
    for name, total in (("a", 100), ("b", 200)):
        build(tmp_path / name, 0.3)
        (tmp_path / name / "config.json").write_text(json.dumps({"sample": {"total": total}}))
        (tmp_path / name / "seeds_report.json").write_text('{"rows_in": 9, "rows_out": 8}')
    report = compare_submissions({name: str(tmp_path / name) for name in "ab"}, COMMANDS)
    assert report["settings"]["deciding"] == {"sample.total": [100, 200]}
    text = format_submissions(report)
    assert "sample.total" in text and "questions given" in text


def test_a_lead_has_an_interval_and_one_that_holds_no_zero_is_decided(tmp_path):
    for name, strict in {"a": 0.30, "b": 0.45, "c": 0.44}.items():
        build(tmp_path / name, strict)
    report = compare_submissions({name: str(tmp_path / name) for name in "abc"}, COMMANDS)
    leads = {row["name"]: row["behind"] for row in report["submissions"]}
    assert leads["a"]["mean"] == 0.15 and 0.05 < leads["a"]["low"] < 0.15 < leads["a"]["high"]
    assert leads["b"] == {"mean": 0, "low": 0, "high": 0}
    assert leads["c"]["mean"] == 0.01 and leads["c"]["low"] == 0
    assert (report["best"], report["undecided"]) == (["b"], ["c"])
    assert "Dev does not tell it from c: " in format_submissions(report)


def test_submissions_that_answered_another_dev_are_refused(tmp_path):
    build(tmp_path / "a", 0.3)
    build(tmp_path / "b", 0.4, dev=90)
    with pytest.raises(InputError, match="not the same dev questions"):
        compare_submissions({name: str(tmp_path / name) for name in "ab"}, COMMANDS)


def test_a_tie_names_all_that_are_best(tmp_path):
    for name, strict in {"a": 0.3, "b": 0.4, "c": 0.4}.items():
        build(tmp_path / name, strict)
    report = compare_submissions({name: str(tmp_path / name) for name in "abc"}, COMMANDS)
    assert report["best"] == ["b", "c"]
    assert "Best on dev: b and c." in format_submissions(report)


def test_one_that_is_not_built_has_a_row_with_its_command(tmp_path):
    build(tmp_path / "a", 0.3)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/test.json").write_text("[]")
    folders = {"a": str(tmp_path / "a"), "b": str(tmp_path / "b")}
    report = compare_submissions(folders, COMMANDS)
    assert [row["command"] for row in report["submissions"]] == [None, COMMANDS["b"]]
    assert report["submissions"][1]["missing"] == [
        str(tmp_path / "b" / file)
        for file in ("metrics.json", "scores.parquet", "sft_dataset.json")
    ]
    assert f"build it: {COMMANDS['b']}" in format_submissions(report)


def test_none_built_and_none_named(tmp_path):
    with pytest.raises(InputError, match=f"none is built: a: {COMMANDS['a']}"):
        compare_submissions({"a": str(tmp_path)}, COMMANDS)
    with pytest.raises(InputError, match="empty"):
        compare_submissions({}, {})


def test_scores_of_an_earlier_version_are_refused(tmp_path):
    build(tmp_path / "a", 0.3)
    (tmp_path / "a/metrics.json").write_text('{"dev": {"em_strict": 1}}')
    with pytest.raises(InputError, match="has no 'em_normalised'"):
        compare_submissions({"a": str(tmp_path / "a")}, COMMANDS)


@pytest.mark.build
def test_the_target_says_which_command_builds_what_is_missing(checkout):
    """The whole target, on folders as builds leave them; no build."""
    build(checkout.path / "results/traces", 0.4)
    target = "out/results/submissions.md"
    preset = "config/presets/search_sft.yaml"
    ended = checkout.run(target, configfiles=[preset])
    assert ended.returncode == 0, ended.stdout
    report = read_json(checkout.path / "out/results/submissions.json")
    assert report["best"] == ["traces"]
    command = report["submissions"][1]["command"]
    assert command == (
        "snakemake results/reader/test.json --cores all"
        f" --configfile tests/workflow/small.yaml {preset} config/submissions/reader.yaml"
    )
    # Once another is built the table is stale, and not before.
    assert checkout.run(target, "-n", configfiles=[preset]).stdout.count("Nothing to be done") == 1
    build(checkout.path / "results/reader", 0.5)
    ended = checkout.run(target, configfiles=[preset])
    assert read_json(checkout.path / "out/results/submissions.json")["best"] == ["reader"]
