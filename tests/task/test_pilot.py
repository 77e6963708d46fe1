"""A pilot's figures come out of rollouts of known lengths, and the plan then rests on them."""

import polars as pl
import pytest

from searchtrain.config import read_config
from searchtrain.task.pilot import apply_pilot, measure_pilot

HEAD, TURN, SHOWN = 320, 60, 440
CONFIG = {
    "models": {"teacher": {"concurrency": 4, "endpoint": "http://host/v1"}},
    "plan": {"gpus": 2, "tokens": {"question": 20}, "kept_share": 0.9},
}


def make_rows():
    """Ten questions: eight solved in one of two rollouts, one with a hint, one never."""
    rows = []
    for number in range(10):
        waves = ["first"] * 2 + ["more", "hinted"] * (number >= 8)
        for rollout, wave in enumerate(waves):
            turns = 2 + rollout % 2
            grown = (TURN + SHOWN) * turns * (turns - 1) // 2
            rows.append({
                "question_id": f"q{number}", "wave": wave, "turns": turns,
                "prompt_tokens": turns * HEAD + grown, "completion_tokens": turns * TURN,
                "good": (number < 8 and rollout == 0) or (number == 8 and wave == "hinted"),
            })  # fmt: skip
    return pl.DataFrame(rows)


def measure(paid=1.0, hours=(0.01,), **changes):
    rows = make_rows()
    usage = {"prompt_tokens": 900 * paid, "completion_tokens": 100 * paid}
    usage |= {f"cached_{kind}_tokens": 1000 * (1 - paid) / 2 for kind in ("prompt", "completion")}
    report = {"models": {"teacher": usage}}
    config = read_config(CONFIG)
    return measure_pilot(rows, rows["good"].to_list(), report, hours, config) | changes


def test_lengths_yield_and_speed_are_measured():
    measured = measure()
    assert measured["tokens"] == {"turn": TURN, "observation": SHOWN, "teacher_system": HEAD - 20}
    assert measured["waves"]["first"] == {
        "rollouts": 20, "per_question": 2, "accepted_share": 0.4, "before": 1.0, "unsolved": 0.2,
    }  # fmt: skip
    assert measured["waves"]["more"]["unsolved"] == 0.2
    assert measured["waves"]["hinted"]["unsolved"] == 0.1
    assert measured["rollouts_per_second"] == pytest.approx(24 / 36, abs=1e-3)


def test_the_plan_rests_on_it_and_says_so():
    config, said = apply_pilot(read_config(CONFIG), measure())
    plan = config.plan
    assert (plan.kept_share, plan.unsolved.rollouts, plan.unsolved.share) == (0.4, 2, 0.2)
    assert (plan.hinted_share, plan.tokens.observation) == (0.5, SHOWN)
    assert plan.turns == pytest.approx(60 / 24, abs=1e-3)
    assert plan.rates.teacher.output == pytest.approx(60 * TURN / 36, rel=1e-2)
    assert "plan.unsolved.share: 0.2" in said and "plan.kept_share: 0.4" in said


@pytest.mark.parametrize(
    ("measured", "why"),
    [(measure(paid=0.5), "request cache"), (measure(hours=(0.01,) * 4), "few for 4 servers")],
)
def test_a_speed_that_says_little_is_not_taken(measured, why):
    config, said = apply_pilot(read_config(CONFIG), measured)
    assert config.plan.rates.teacher == read_config(CONFIG).plan.rates.teacher
    assert why in said[-1]
