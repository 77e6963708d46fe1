"""Paired differences and their intervals, against closed forms and two folders of results."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from helpers.rollouts import make_frame, make_rollout
from helpers.scores import make_scores
from helpers.scripts import run_script
from searchtrain.core.errors import InputError
from searchtrain.core.files import write_json
from searchtrain.data import schemas
from searchtrain.data.results import SETTINGS_FILE
from searchtrain.evaluation.comparison import compare_paired, compare_scores
from searchtrain.evaluation.intervals import bootstrap_means
from searchtrain.evaluation.runs import compare_runs, format_runs


def test_the_interval_of_a_share_is_that_of_the_binomial():
    """The bootstrap of a share draws from a binomial distribution, whose ends are known."""
    right = np.repeat([1.0, 0.0], [400, 600])
    (found,) = bootstrap_means(right, resamples=9999)
    low, high = stats.binom.ppf([0.025, 0.975], 1000, 0.4) / 1000
    assert found.mean == 0.4
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.002)


def test_a_paired_difference_has_the_standard_error_of_the_differences():
    rng = np.random.default_rng(3)
    a = rng.random(4000) < 0.4
    b = np.where(rng.random(4000) < 0.1, ~a, a)
    found = compare_paired(a, b)
    differences = b.astype(float) - a
    assert found.mean == pytest.approx(differences.mean(), abs=1e-6)
    half = 1.96 * differences.std() / math.sqrt(4000)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.05)
    # Unpaired it would be far wider.
    assert half < 0.6 * 1.96 * math.sqrt((a.var() + b.var()) / 4000)
    assert compare_paired(a, b) == found  # the same scores, the same interval


@pytest.mark.parametrize("right", [[True] * 5, [False], [True, True]])
def test_no_difference_at_all_is_an_interval_of_nothing(right):
    assert compare_paired(right, right) == (0, 0, 0)


def test_scores_that_are_no_pairs_are_refused():
    with pytest.raises(InputError, match="2 scores against 1"):
        compare_paired([1, 0], [1])
    with pytest.raises(InputError, match="0 scores"):
        compare_paired([], [])
    with pytest.raises(InputError, match="no question is in both"):
        compare_scores(make_scores([True]), make_scores([True], first=5))


def write(folder, scores, topk, split="dev"):
    folder.mkdir()
    conditions = {"topk": topk, "limits": {"max_turns": 4}, "corpus": "abc"}
    (folder / "metrics.json").write_text(json.dumps({split: {"conditions": conditions}}))
    schemas.write_table(scores, folder / "scores.parquet", schemas.Scores)
    return folder


KINDS = ["two_hop"] * 40 + ["single_hop"] * 40


def test_two_folders_are_compared_per_split_and_type(tmp_path):
    causes = ["form"] * 80
    plain = make_scores([False] * 30 + [True] * 50, causes=causes, kinds=KINDS)
    full = make_scores([False] * 10 + [True] * 70 + [False], causes=[*causes, "form"],
                       kinds=[*KINDS, "single_hop"])  # fmt: skip
    a, b = write(tmp_path / "a", plain, 3), write(tmp_path / "b", full, 5)
    out, page = tmp_path / "c.json", tmp_path / "c.md"
    ended = run_script("compare", a, b, "--json", out, "--markdown", page)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(out.read_text())["scores"]["b"]["dev"]
    assert (found["n"], found["left_out"]) == (80, {"a": 0, "b": 1})
    strict = found["em_strict"]
    assert (strict["a"], strict["b"], strict["difference"]["mean"]) == (0.625, 0.875, 0.25)
    assert 0.1 < strict["difference"]["low"] < 0.25 < strict["difference"]["high"] < 0.4
    assert found["causes"] == {"form": -20, "stopping": 0, "retrieval": 0, "reading": 0}
    assert found["by_type"]["two_hop"]["em_strict"]["difference"]["mean"] == 0.5
    same = found["by_type"]["single_hop"]["em_strict"]["difference"]
    assert same == {"mean": 0, "low": 0, "high": 0}
    assert found["conditions"] == {"topk": [3, 5]}
    assert "dev: left out, as only one run has them" in ended.stdout
    text = page.read_text()
    assert "topk: 3 -> 5" in text and "max_turns" not in text
    rows = [line.split() for line in ended.stdout.splitlines()]
    ahead = {row[0]: row[7] for row in rows if row and row[0] in ("dev", "two_hop", "single_hop")}
    assert ahead == {"dev": "b", "two_hop": "b", "single_hop": "-"}
    assert sorted(file.name for file in b.iterdir()) == ["metrics.json", "scores.parquet"]


def test_splits_of_other_names_are_compared_when_asked(tmp_path):
    a = write(tmp_path / "a", make_scores([True, False], "test_untrained"), 3, "test_untrained")
    b = write(tmp_path / "b", make_scores([True, True], "test"), 3, "test")
    ended = run_script("compare", a, b)
    assert ended.returncode == 1 and "has test_untrained and not" in ended.stderr
    out = tmp_path / "c.json"
    ended = run_script("compare", a, b, "--splits", "test_untrained", "test", "--json", out)
    assert ended.returncode == 0, ended.stderr
    report = json.loads(out.read_text())["scores"]["b"]
    assert report["test_untrained / test"]["em_strict"]["difference"]["mean"] == 0.5


def test_the_steps_of_three_runs_and_the_settings_that_differ_stand_side_by_side(tmp_path):
    settings = [
        {"sample": {"total": 100}, "cache": "one"},
        {"sample": {"total": 200}, "cache": "two", "models": {"teacher": {"concurrency": 3}}},
        None,
    ]
    rollouts = make_frame(*(make_rollout("q", number) for number in range(3)))
    for name, values in zip("abc", settings, strict=True):
        folder = write(tmp_path / name, make_scores([True, False]), 3)
        if values is not None:
            write_json(values, folder / SETTINGS_FILE)
        schemas.write_table(rollouts, folder / "trajectories.parquet", schemas.Trajectories)
        paid = {"prompt": 1_000_000, "completion": 20}
        models = {"teacher": {"dollars": 1.5}, "refiner": {"dollars": 0.25}}
        report = {"rollouts": {}, "tokens": paid, "models": models}
        write_json(report, folder / "trajectories_report.json")
    schemas.write_table(rollouts, tmp_path / "b/rounds/2/trajectories.parquet",
                        schemas.Trajectories)  # fmt: skip
    # A pilot's rollouts are made again.
    schemas.write_table(rollouts, tmp_path / "b/pilot/trajectories.parquet", schemas.Trajectories)
    write_json({"records": 7}, tmp_path / "b/rounds/2/sft_report.json")
    write_json({"records": 5}, tmp_path / "b/sft_report.json")
    report = compare_runs([tmp_path / name for name in "abc"])
    steps = {row["step"]: [row[name] for name in "abc"] for row in report["funnel"]}
    assert steps == {
        "rollouts": [3, 6, 3], "records": [None, 7, None], "tokens read": [1_000_000] * 3,
        "tokens written": [20] * 3, "dollars paid": [1.75] * 3,
    }  # fmt: skip
    assert report["settings"] == {
        "runs": ["a", "b"], "deciding": {"sample.total": [100, 200]},
        "others": {"models.teacher.concurrency": [32, 3]}, "unknown": ["c"],
    }  # fmt: skip
    assert [*report["scores"]] == ["b", "c"]
    text = format_runs(report)
    assert "1,000,000" in text and "no settings are noted (config.json): c" in text
    assert "c - a" in text


def test_a_run_that_is_not_scored_has_its_steps_all_the_same(tmp_path):
    write(tmp_path / "a", make_scores([True]), 3)
    (tmp_path / "b").mkdir()
    write_json({"rows_in": 9, "rows_out": 8}, tmp_path / "b/seeds_report.json")
    report = compare_runs([tmp_path / "a", tmp_path / "b"])
    assert report["scores"] == {} and report["unscored"] == ["b"]
    assert report["funnel"] == [
        {"step": "questions given", "a": None, "b": 9}, {"step": "seeds", "a": None, "b": 8},
    ]  # fmt: skip
    assert "not scored yet: b" in format_runs(report)


def test_folders_that_are_too_few_or_not_there_are_refused(tmp_path):
    with pytest.raises(InputError, match="1 folder; give two or more"):
        compare_runs([tmp_path])
    with pytest.raises(InputError, match="gone: no such folder"):
        compare_runs([tmp_path, tmp_path / "gone"])
