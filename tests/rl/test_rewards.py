"""What a rollout earns."""

from typing import get_args

import pytest
from pydantic import ValidationError

from helpers.library import ANSWER, SEARCH, TASK
from searchtrain.agent import grammar
from searchtrain.config import Grpo
from searchtrain.rl.rewards import MATCHES, score_rollout


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
    assert score_rollout(row, MATCHES["strict"]) == reward


def test_a_reward_may_be_normalised():
    row = make_row(ANSWER, golden=("the Norway!",))
    assert score_rollout(row, MATCHES["normalised"]) == 1
    assert score_rollout(row, MATCHES["strict"]) == 0
    with pytest.raises(ValidationError, match="'strict' or 'normalised'"):
        Grpo(reward="fuzzy")
    assert MATCHES.keys() == set(get_args(Grpo.model_fields["reward"].annotation))
