"""The answer that a kept rollout is learnt with: which rollouts are right, and what they state."""

import polars as pl
import pytest

from helpers.rollouts import make_frame, make_rollout
from searchtrain.agent import grammar
from searchtrain.config import Curate
from searchtrain.curation.choice import curate_rollouts, make_acceptance
from searchtrain.training.sharegpt import count_answers

SENTENCE = "The capital of Norway is Oslo."
EQUIVALENT = {"answers": {"equivalent": True, "form": "gold"}}


def make_with(golds=("Oslo", "Kristiania"), **change):
    return {**make_rollout(**change), "golden_answers": list(golds)}


def curate(rollout, *, clean=False, empty=False, **values):
    settings = Curate.parse(values)
    curated, verdicts = curate_rollouts(
        make_frame(rollout), settings, clean=clean, may_be_empty=empty
    )
    failed = verdicts.filter(~pl.col("passed"))["rule"].to_list()
    return (curated.row(0, named=True) if curated.height else None), failed


def state(rollout, **values):
    """What the last turn of a kept rollout states, and how its own words meant it."""
    row, failed = curate(rollout, **values)
    assert failed == []
    turn = grammar.parse_turn(row["messages"][-1]["content"])
    assert turn.answer == row["answer"]
    assert row["gold_form"] in ("", row["answer"])
    return turn.answer, row["form_change"]


@pytest.mark.parametrize(
    ("change", "stated"),
    [
        ({}, ("Oslo", "")),
        ({"answer": "oslo"}, ("Oslo", "exact")),
        ({"answer": "Oslo."}, ("Oslo", "normalised")),
        ({"answer": SENTENCE}, ("Oslo", "contained")),
        # Both stand in the trace; it states the one that it found.
        ({"answer": "Kristiania.", "passage": "Oslo, once Kristiania."},
         ("Kristiania", "normalised")),
        ({"answer": "Kristiania", "passage": "Oslo is the capital."}, ("Oslo", "alias")),
        ({"golds": ["1.2 million", "1,200,000 people"], "answer": "1200000",
          "passage": "It has 1200000 people."}, ("1.2 million", "number")),
        ({"golds": ["March 12, 1987"], "answer": "12 March 1987",
          "passage": "It was founded on 1987-03-12."}, ("March 12, 1987", "date")),
        # As the passage writes it, so that it can be copied.
        ({"golds": ["1040", "1,040"], "answer": "In 1040."}, ("1,040", "contained")),
        ({"golds": ["yes"], "answer": "Yes."}, ("yes", "normalised")),
        ({"golds": ["St. Louis"], "answer": "It is St. Louis.", "passage": "in St Louis"},
         ("St. Louis", "contained")),
    ],
)  # fmt: skip
def test_the_last_turn_states_the_golden_answer_that_the_trace_supports(change, stated):
    rollout = make_with(**change)

    assert state(rollout, **EQUIVALENT) == stated
    assert make_acceptance(Curate.parse(EQUIVALENT))(rollout)


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({"answer": "Oslo or Bergen", "passage": "Oslo or Bergen"}, ["same_meaning"]),
        ({"answer": "The capital is Bergen.", "golds": ["Bergen"]}, ["supported"]),
        ({"answer": SENTENCE, "stop": "forced_answer"}, ["unforced"]),
        ({"answer": SENTENCE, "queries": ()}, ["supported", "min_searches"]),
    ],
)
def test_a_rollout_is_not_used_whose_answer_may_be_wrong_or_is_not_found(change, failed):
    rollout = make_with(**change)

    assert curate(rollout, empty=True, **EQUIVALENT) == (None, failed)
    assert not make_acceptance(Curate.parse(EQUIVALENT))(rollout)


def test_the_reasoning_and_the_models_own_words_are_kept():
    rollout = make_rollout(answer=SENTENCE, last="The passage says that it is Oslo.")
    row, _ = curate(rollout, **EQUIVALENT)

    assert row["messages"][:-1] == rollout["messages"][:-1]
    assert grammar.parse_turn(row["messages"][-1]["content"]).think == (
        "The passage says that it is Oslo."
    )
    assert row["raw"][-1] == rollout["messages"][-1]["content"]
    assert grammar.validate_trajectory(row["messages"])


def test_words_stay_unless_the_golden_form_is_asked_for():
    kept = {"answers": {"equivalent": True}}
    assert state(make_rollout(answer=SENTENCE), **kept) == (SENTENCE, "")
    assert state(make_rollout(answer="oslo")) == ("oslo", "")
    assert curate(make_rollout(answer=SENTENCE), empty=True)[0] is None


def test_training_and_predictions_are_cleaned_alike():
    kept = {"rules": {"exact_match": None, "normalised_match": True}}
    assert state(make_rollout(answer='"Oslo."'), clean=True, **kept) == ("Oslo", "cleaned")
    # A golden answer stands word for word.
    rollout = make_with(['"Oslo"'], answer="oslo")
    assert state(rollout, clean=True, **EQUIVALENT) == ('"Oslo"', "normalised")


def test_the_report_counts_the_answers_in_another_form():
    rollouts = [make_rollout("q1"), make_rollout("q2", answer=SENTENCE), make_rollout("q3")]
    curated, verdicts = curate_rollouts(make_frame(*rollouts), Curate.parse(EQUIVALENT))

    assert count_answers(curated) == {"as_written": 2, "contained": 1}
    assert "exact_match" not in verdicts["rule"].to_list()
