"""Choosing among trained candidates: dev alone decides, and the doubt is told."""

import polars as pl
import pytest

from helpers.rollouts import make_predictions
from searchtrain.core.errors import InputError
from searchtrain.evaluation.trials import choose_candidate, format_trials

DEV = pl.DataFrame(
    {
        "id": [str(number) for number in range(40)],
        "question": ["?"] * 40,
        "golden_answers": [["Oslo"]] * 40,
        "source": ["x"] * 40,
    }
)
NOTHING = make_predictions([])


def answer(right, otherwise="Bergen"):
    """Predictions of which the first `right` are right."""
    return make_predictions(
        [("dev", number, "Oslo" if number < right else otherwise) for number in range(40)]
    )


def test_the_best_on_dev_is_chosen_and_the_others_are_behind_it():
    report = choose_candidate({"a": answer(10), "b": answer(30), "c": answer(29)}, DEV, "dev.json")
    assert report["best"] == "b"
    assert report["candidates"]["a"]["em_strict"] == 0.25
    behind = {name: each["behind"] for name, each in report["candidates"].items()}
    assert behind["b"]["mean"] == 0 and behind["a"]["low"] > 0.3
    assert behind["c"]["low"] <= 0 < behind["c"]["mean"]  # one answer of 40 decides nothing
    assert "Best on dev: b." in format_trials(report)


def test_of_equal_ones_the_normalised_score_and_then_the_order_decides():
    with_dot = answer(10, "Oslo.")
    report = choose_candidate({"a": answer(10), "b": with_dot, "c": with_dot}, DEV, "dev.json")
    assert report["best"] == "b"


def test_who_was_left_out_has_a_row_and_is_never_chosen():
    report = choose_candidate({"late": NOTHING, "a": answer(0)}, DEV, "dev.json")
    assert report["best"] == "a" and report["candidates"]["late"] is None
    assert "left out" in format_trials(report)
    with pytest.raises(InputError, match="none was trained"):
        choose_candidate({"late": NOTHING}, DEV, "dev.json")


def test_a_candidate_that_answered_a_part_of_dev_is_refused():
    part = make_predictions([("dev", 0, "Oslo")])
    with pytest.raises(InputError, match="1 of the 40 questions"):
        choose_candidate({"a": part}, DEV, "dev.json")
