"""A day slower than planned: the rest is planned anew before each stage, and ends in time."""

import time

import pytest

from helpers.days import Day, read_day
from helpers.scripts import run_script
from searchtrain.config import read_config
from searchtrain.core.files import read_json, write_json
from searchtrain.task.cuts import list_cuts
from searchtrain.task.ledger import Ledger, list_said
from searchtrain.task.plan import make_plan
from searchtrain.task.proposal import apply_proposal, propose

COUNTS = {"train": 20_000, "dev": 1000, "test": 1000}
CANDIDATES = {
    name: {"args": {"learning_rate": rate}}
    for name, rate in (("plain", 1e-5), ("slower", 5e-6), ("faster", 2e-5))
}
DAY = {
    "task": {"budget_hours": 24, "over_budget": "shrink"},
    "predict": {"untrained": False},
    "data": {"test_answers": None},
    "sample": {"total": None},
    "trajectories": {
        "rollouts": 8, "shards": 4, "more": {"rollouts": 32}, "hints": {"rollouts": 8},
    },
    "curate": {"per_question": 3},
    "train": {"gpu": 8, "args": {"max_steps": -1, "num_train_epochs": 3}},
    "trials": {"candidates": CANDIDATES},
    "plan": {
        "questions": COUNTS,
        "passages": 21_000_000,
        "gpus": 8,
        "turns": 3.3,
        "kept_share": 0.5,
        "unsolved": {"share": 0.35},
        "tokens": {"observation": 440, "turn": 60},
        "rates": {
            "teacher": {"gpus": 2, "prompt": 2400, "output": 450, "start": 107},
            "student": {"gpus": 1, "prompt": 25_000, "output": 4600, "start": 45},
            "training": {"tokens": 3500, "start": 60},
            "index": 114,
        },
    },
}  # fmt: skip


def test_a_day_as_planned_leaves_nothing_out():
    config = read_config(DAY)
    planned = make_plan(config, COUNTS)["hours"]
    day = Day(config, COUNTS).run()
    assert 16 < planned < 24 * 0.85
    assert day.hours == pytest.approx(planned, abs=0.2)  # the index is built beside
    assert not any(day.said.values()) and day.left_out == []


@pytest.mark.parametrize("slow_from", [0.0, 4.0, 8.0, 10.0])
def test_at_half_the_speed_from_some_hour_on_a_day_ends_in_time_and_says_what_it_left_out(
    slow_from,
):
    day = Day(read_config(DAY), COUNTS, slow_from, 2.0).run()
    assert day.hours < 24
    assert day.left_out
    announced = [line for lines in day.said.values() for line in lines]
    assert all("left out" in line for line in announced)
    for name in day.left_out:
        if name.endswith("/checkpoint"):
            candidate = name.split("/")[1]
            assert any(line.startswith(f"candidate {candidate}:") for line in day.said[name])
    # What was not left out was done in full: the first candidate always.
    assert day.spent["trials/plain/checkpoint"].hours > 0


@pytest.mark.parametrize("questions", [10_000, 80_000])
def test_a_proposed_day_at_half_the_speed_from_its_middle_on_ends_in_time(questions):
    counts = {"train": questions, "dev": 1000, "test": 1000}
    config = read_day()
    config = apply_proposal(config, propose(config, counts))
    middle = make_plan(config, counts)["hours"] / 2
    day = Day(config, counts, middle, 2.0).run()
    assert middle < day.hours < 24
    said = [line for lines in day.said.values() for line in lines]
    assert day.left_out and any("left out" in line for line in said)


def test_what_goes_first_is_said_in_the_plan_and_each_cut_is_less():
    config = read_config(DAY)
    plan = make_plan(config, COUNTS)
    assert plan["cuts"] == [
        "candidate faster", "candidate slower", "rollouts with hints", "more rollouts",
        "epochs beyond 2", "epochs beyond 1",
    ]  # fmt: skip
    hours = [make_plan(cut.config, COUNTS)["hours"] for cut in list_cuts(config)]
    assert hours == sorted(hours, reverse=True) and hours[0] < plan["hours"]


def give_allowance(folder, stage, hours_gone, job=None):
    """Run what a stage's command begins with; returns its log and the allowance."""
    (folder / "cache").mkdir(exist_ok=True)
    write_json({"started": time.time() - hours_gone * 3600}, folder / "cache/task_clock.json")
    ended = run_script(
        "budget", "--stage", stage, "--rest", "1", "--budget", "24", "--over-budget", "shrink",
        "--cache", folder / "cache", "--results", folder / "results",
        "--timings", folder / "benchmarks", "--job", job or stage,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stderr, read_json(folder / f"results/.allowance/{job or stage}.json")


def test_a_stage_is_told_what_it_may_take_and_the_hours_say_what_was_left_out(tmp_path):
    ledger = Ledger.of(tmp_path / "results", tmp_path / "benchmarks")
    config = read_config({**DAY, "models": {"teacher": {"endpoint": "https://teacher/v1"}}})
    ledger.open_run(config, COUNTS)
    assert "https://teacher" not in (ledger.folder / "run.json").read_text()
    jobs = [f"trajectories/{shard}" for shard in range(1, 5)]
    for job in jobs:
        log, allowance = give_allowance(tmp_path, "trajectories", 1.0, job)
        assert allowance["said"] == [] and "no rollout begins after" in log
        # Of the day what the first candidate and the answers take stays free.
        assert 20 < (allowance["deadline"] - time.time()) / 3600 + 1 < 22.5
    assert ledger.read_spent(4) == {}
    # It took 18 hours where 12.1 were planned, for as many rollouts as planned.
    write_json(
        {"rollouts": {"run": allowance["stage_items"]}},
        tmp_path / "results/trajectories_report.json",
    )
    for job in jobs:
        timing = tmp_path / f"benchmarks/{job}.tsv"
        timing.parent.mkdir(parents=True, exist_ok=True)
        timing.write_text(f"s\th:m:s\n{18 * 3600}\t18:00:00\n")
    assert ledger.read_spent(4)["trajectories"].hours == pytest.approx(18)
    log, allowance = give_allowance(tmp_path, "trials/plain/checkpoint", 19.5)
    assert allowance["slowness"]["teacher"] == pytest.approx(18 / 12.1, abs=0.02)
    assert allowance["left_out"] == ["slower", "faster"]
    assert "candidate faster: left out" in log
    said = list_said(ledger.list_allowances())
    assert [line.partition(":")[2].split(":")[0] for line in said] == [
        " candidate faster", " candidate slower"
    ]  # fmt: skip


def test_rollouts_that_were_not_run_are_not_taken_for_speed(tmp_path):
    ledger = Ledger.of(tmp_path / "results", tmp_path / "benchmarks")
    ledger.open_run(read_config({**DAY, "trajectories": {"rollouts": 8, "shards": 1}}), COUNTS)
    _, allowance = give_allowance(tmp_path, "trajectories", 1.0)
    run = allowance["stage_items"] // 2
    write_json({"rollouts": {"run": run}}, tmp_path / "results/trajectories_report.json")
    timing = tmp_path / "benchmarks/trajectories.tsv"
    timing.parent.mkdir(parents=True)
    timing.write_text(f"s\th:m:s\n{allowance['stage_hours'] * 3600}\t1\n")
    spent = ledger.read_spent(1)["trajectories"]
    assert spent.hours == pytest.approx(2 * spent.planned, rel=1e-3)
