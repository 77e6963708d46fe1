"""Figures hold the numbers of the tables, and of what a run does not have there is no figure."""

import json
import random

import polars as pl
import pytest

from helpers.report import make_run
from helpers.steps import make_steps
from searchtrain.report.bins import count_bins
from searchtrain.report.contents import tell_run
from searchtrain.report.training import average_curve


def tell(**changes):
    """The figures of a run, by their titles."""
    topics = tell_run(make_run(**changes))
    return {figure.title: figure for topic in topics for figure in topic.figures}


def read(figure, title=""):
    """The rows that a chart of a figure shows."""
    (chart,) = (chart for name, chart in figure.charts if name == title)
    return (chart if "data" in chart else chart["layer"][0])["data"]["values"]


@pytest.fixture(scope="module")
def figures():
    return tell()


def test_the_funnel_counts_every_step(figures):
    steps = {row["label"]: row["value"] for row in read(figures["From seeds to training rows"])}
    assert steps == {
        "seed questions": 20, "usable seeds": 14, "tagged": 14, "sampled": 10, "rollouts": 10,
        "right answers": 6, "pass every rule": 5, "kept": 5, "training records": 5,
    }  # fmt: skip
    assert "50.0 % of 10 rollouts are kept" in figures["From seeds to training rows"].said


def test_what_is_left_out_counts_once(figures):
    lost = {row["label"]: row["value"] for row in read(figures["What was left out, and why"])}
    assert lost["overlaps test"] == 3 and lost["not sampled"] == 4
    assert lost["rule exact_match"] == 4 and lost["rule no_repeated_query"] == 1
    assert sum(lost.values()) == (20 - 14) + (14 - 10) + (10 - 5)


def test_labels_are_shares_before_and_after_sampling(figures):
    rows = read(figures["Domains before and after sampling"])
    assert [(row["label"], row["kind"], row["text"]) for row in rows] == [
        ("film", "before", "64.3 %"), ("film", "after", "60.0 %"),
        ("art", "before", "57.1 %"), ("art", "after", "50.0 %"),
    ]  # fmt: skip


def test_a_rule_counts_what_fails_it_and_what_fails_no_other(figures):
    rows = {(row["label"], row["kind"]): row["value"] for row in read(figures["Each rule"])}
    assert rows["no_repeated_query", "only this rule"] == 1
    assert rows["exact_match", "only this rule"] + rows["exact_match", "and others"] == 4
    assert "5 of 10 rollouts (50.0 %) fail a rule" in figures["Each rule"].said


def test_values_are_drawn_with_their_threshold(figures):
    charts = figures["Values and thresholds"].charts
    (chart,) = (chart for name, chart in charts if name == "turns")
    columns, line = (layer["data"]["values"] for layer in chart["layer"])
    assert line == [{"line": 6.0}]
    assert sum(row["value"] for row in columns) == 10
    assert {row["kind"] for row in columns} == {"passes"}


@pytest.mark.parametrize(
    "values, line",
    [([0.1, 0.5, 0.9], 0.3), ([1, 2, 2, 7], 3), (list(range(5000)), 10), ([4, 4], None),
     ([0.25, 0.25], None), ([*[0.2] * 500, 1e9], 0.3), ([1e-9, 2e-9], 1)],
)  # fmt: skip
def test_every_value_is_in_one_bin(values, line):
    good = pl.Series([line is None or value <= line for value in values])
    rows = count_bins(pl.Series(values), good, ("fails", "passes"), line)
    assert sum(row["value"] for row in rows) == len(values)
    assert sum(row["value"] for row in rows if row["kind"] == "passes") == good.sum()
    assert len({row["low"] for row in rows}) <= 26
    assert all(row["low"] < row["high"] for row in rows)


def test_scores_stand_with_their_intervals(figures):
    scores = figures["Scores with their intervals of 95 %"]
    rows = {row["label"]: row for row in read(scores, "F1")}
    assert next(iter(rows)) == "test" and rows["test"]["value"] == 0.75
    assert (rows["test"]["low"], rows["test"]["high"]) == (0.65, 0.85)
    assert rows["test, closed-book"]["kind"] == "closed-book"
    assert "75.0 % of the test questions" in scores.said
    rows = read(figures["Test questions by type"], "F1")
    ways = ("searching", "closed-book")
    assert [(row["label"], row["kind"]) for row in rows] == [
        (label, way) for label in ("film", "art") for way in ways
    ]


def test_gaps_add_up_for_teacher_and_student(figures):
    rows = read(figures["What is missing, and why"])
    sums = {row["label"]: 0.0 for row in rows}
    for row in rows:
        sums[row["label"]] += row["value"]
    assert sums["teacher"] == pytest.approx(0.2)
    assert sums["student, test"] == pytest.approx(0.25)
    assert "by stopping" in figures["What is missing, and why"].said


def test_cost_is_told_for_each_stage_and_each_rollout_kept(figures):
    table = figures["Requests, tokens and cost of each stage"].table
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["trajectories: teacher"] == ["20", "600", "400", "$ 1.00"]
    assert rows["per kept rollout"][-1] == "$ 0.20"


def test_constraints_are_judged_by_what_the_run_wrote():
    task = {"enforced": True, "teacher": "teacher-x", "budget_hours": 0.55}
    rows = {row[0]: row for row in tell(settings={"task": task})["Constraints"].table.rows}
    assert rows["Who writes training data"][1:] == ("teacher-x alone", "rollouts by m", "no")
    assert rows["Who answers"][-1] == "yes" and rows["Time"][-1] == "no"


def test_contamination_is_counted(figures):
    assert ["overlaps dev", "2"] in figures["Duplicates and overlap"].table.rows
    assert "5 of 20 seeds (25.0 %)" in figures["Duplicates and overlap"].said


def test_what_a_run_does_not_have_is_not_drawn():
    whole = make_run()
    figures = tell(
        checkpoint={}, hours={}, costs={}, predictions=whole.predictions[:0],
        metrics={"dev": whole.metrics["dev"], "test_json": {}},
        settings={"curate": {"rules": {"exact_match": None}}},
    )  # fmt: skip
    left_out = {"GRPO", "Loss of supervised fine-tuning", "Time of each stage",
                "Test questions by type", "Requests, tokens and cost of each stage"}  # fmt: skip
    assert not left_out & set(figures)
    assert "80.0 % of the dev questions" in figures["Scores with their intervals of 95 %"].said
    steps = [row["label"] for row in read(figures["From seeds to training rows"])]
    assert "rollouts" in steps and "right answers" not in steps


@pytest.mark.parametrize("steps, points", [(1, 1), (40, 40), (5000, 385)])
def test_grpo_has_a_curve_for_all_that_was_measured(steps, points):
    figure = tell(history=make_steps(steps, kl=None))["GRPO"]
    assert "KL divergence from the start" not in dict(figure.charts)
    rows = read(figure, "Reward")
    assert len(rows) == points and rows[-1]["step"] == steps


def test_the_heavy_line_is_a_mean_of_what_came_before():
    assert average_curve([1, 3, 5, 7], 2) == [1, 2, 4, 6]


def test_the_figures_of_many_rollouts_stay_small():
    draw, count, run = random.Random(1), 50_000, make_run()
    some = [draw.randrange(10) for _ in range(count)]
    names = pl.Series([f"q{number}#0" for number in range(count)])
    rollouts = run.rollouts[some].with_columns(
        id=names, prompt_tokens=pl.Series([draw.randrange(9000) for _ in range(count)])
    )
    several = ("rule", "passed", "value", "threshold")
    verdicts = run.verdicts.group_by("id", "question_id", "kept", maintain_order=True).agg(several)
    verdicts = verdicts[some].with_columns(id=names).explode(*several)
    spread = pl.Series([draw.random() for _ in range(verdicts.height)])
    verdicts = verdicts.with_columns(value=spread).select(run.verdicts.columns)
    topics = tell_run(make_run(rollouts=rollouts, verdicts=verdicts))
    charts = [chart for each in topics for figure in each.figures for chart in figure.charts]
    assert len(json.dumps(charts)) < 300_000
