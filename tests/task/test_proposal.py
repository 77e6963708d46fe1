"""What is proposed for a day on the machine of the scale file, at the rates that were measured."""

import pytest
import yaml

from helpers.days import read_day
from searchtrain.config import read_config
from searchtrain.config.section import merge_values
from searchtrain.core.errors import InputError
from searchtrain.task.plan import make_plan
from searchtrain.task.proposal import Proposal, apply_proposal, propose, render_proposal
from searchtrain.task.yields import Yield, fit_yield


def count(train):
    return {"train": train, "dev": 1000, "test": 1000}


@pytest.mark.parametrize("questions", [10_000, 80_000])
def test_a_day_is_filled_and_a_reserve_kept(questions):
    config = read_day()
    proposed = propose(config, count(questions))
    assert isinstance(proposed, Proposal)
    plan = make_plan(apply_proposal(config, proposed), count(questions))
    assert 16 <= plan["hours"] == proposed.hours <= 24 * (1 - 0.15)
    assert plan["questions"]["rolled_out"] == questions
    steps = [step["hours"] for step in proposed.steps]
    assert steps == sorted(steps)
    # On top of the config it is proposed again.
    again = propose(apply_proposal(config, proposed), count(questions))
    assert again.changes == proposed.changes


def test_a_day_with_too_many_questions_has_a_smaller_first_wave_and_in_the_end_none():
    config = read_day()
    rollouts = {
        number: propose(config, count(number)).changes["trajectories"]["rollouts"]
        for number in (10_000, 80_000, 300_000)
    }
    assert rollouts[10_000] > rollouts[80_000] > rollouts[300_000]
    said = propose(config, count(3_000_000))
    assert "lower sample.total" in said and yaml.safe_load(render_proposal(said)) == {}


def test_the_file_is_laid_on_top_as_it_is():
    config = read_day()
    proposed = propose(config, count(10_000))
    values = yaml.safe_load(render_proposal(proposed))
    assert values == proposed.changes
    laid = read_config(merge_values(config.changes(), values))
    assert laid == apply_proposal(config, proposed)


def test_without_hours_or_rates_nothing_is_proposed():
    assert "budget_hours" in propose(read_day(task={"budget_hours": None}), count(10))
    missing = read_day(plan={"rates": {"training": {"tokens": None}}})
    assert "plan.rates.training.tokens" in propose(missing, count(10))


def test_unequal_questions_are_solved_as_measured_and_more_tries_help_less():
    plan = read_config({"plan": {"kept_share": 0.5, "unsolved": {"share": 0.35}}}).plan
    unequal, equal = fit_yield(plan), Yield(0.5)
    assert unequal.leave_unsolved(1) == pytest.approx(0.5)
    assert unequal.leave_unsolved(8) == pytest.approx(0.35)
    assert equal.leave_unsolved(8) == pytest.approx(0.5**8)
    assert 0.25 < unequal.leave_unsolved(24) < 0.35
    shares = [unequal.hit(good, 8) for good in range(9)]
    assert sum(shares) == pytest.approx(1)
    assert sum(good * share for good, share in enumerate(shares)) == pytest.approx(4)
    assert unequal.keep(8, 8) == pytest.approx(4) and unequal.keep(8, 1) == pytest.approx(0.65)


def test_more_unsolved_questions_than_the_yield_allows_are_refused():
    plan = read_config({"plan": {"kept_share": 0.5, "unsolved": {"share": 0.6}}}).plan
    with pytest.raises(InputError, match=r"plan\.unsolved\.share: 0\.6: .* at most 0\.5"):
        fit_yield(plan)
