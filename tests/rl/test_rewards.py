"""What a rollout earns."""

import pytest

from helpers.library import ANSWER, SEARCH, TASK
from searchtrain.agent import grammar
from searchtrain.core.errors import InputError
from searchtrain.rl.rewards import find_match, score_rollout


def make_row(*said, stop_reason="answered", golden=("Norway",)):
    roles = ("user", *("assistant", "tool") * len(said))
    contents = (TASK.question, *said)
    messages = [
        {"role": role, "content": content} for role, content in zip(roles, contents, strict=False)
    ]
    return {"messages": messages, "stop_reason": stop_reason, "golden_answers": list(golden)}


FOUND = grammar.render_observation([("Oslo", [])], 500)

NOTICE = grammar.render_notice("That turn was not valid.")


@pytest.mark.parametrize(
    ("row", "reward"),
    [
        (make_row(ANSWER), 1),
        (make_row(SEARCH, FOUND, ANSWER), 1),
        (make_row(ANSWER, golden=("norway",)), 1),
        (make_row(ANSWER, golden=("Sweden", "The Norway")), 0),
        (make_row(SEARCH, FOUND, ANSWER + " Well."), 0),
        (make_row("No tags.", NOTICE, ANSWER), 0),
        (make_row(SEARCH, FOUND, stop_reason="turn_limit"), 0),
        (make_row(SEARCH, stop_reason="search_error"), None),
        (make_row(stop_reason="model_error"), None),
    ],
)
def test_only_a_valid_rollout_with_the_right_answer_is_rewarded(row, reward):
    assert score_rollout(row, find_match("strict")) == reward


def test_a_reward_may_be_normalised():
    row = make_row(ANSWER, golden=("the Norway!",))
    assert score_rollout(row, find_match("normalised")) == 1
    assert score_rollout(row, find_match("strict")) == 0
    with pytest.raises(InputError, match="strict, normalised"):
        find_match("fuzzy")
