"""The requests of a stored rollout: the same that its model was sent, whatever happened in it."""

import pytest

from helpers.transport import roll_out, too_long
from searchtrain.agent.formats import open_format
from searchtrain.agent.requests import list_requests
from searchtrain.models.request import make_body, make_key

SEARCH = "<think>I look.</think>\n<search>capital of Norway</search>"
ANSWER = "<think>I know.</think>\n<answer>Oslo</answer>"
CASES = {
    "plain": ([SEARCH, ANSWER], {}),
    "broken turn": (["what?", SEARCH, ANSWER], {}),
    "forced at the limit of turns": ([SEARCH, SEARCH, "Oslo</answer>"], {"max_turns": 2}),
    "forced after a cut turn": ([SEARCH, ("<think>It is", "length"), "Oslo</answer>"], {}),
    "asked in words": ([SEARCH, SEARCH, "Oslo"], {"max_turns": 2, "role": {"dialect": "openai"}}),
    "no answer at all": ([("<think>It is", "length"), "", "", ""], {}),
    "one growing message": ([SEARCH, ANSWER], {"form": "search_r1"}),
    "native calls": ([ANSWER], {"form": "tool_calls"}),
}


@pytest.mark.parametrize(("replies", "given"), CASES.values(), ids=CASES)
def test_every_request_that_was_sent_is_among_them(replies, given):
    row, model = roll_out(replies, force_answer=True, **given)
    sent = [
        make_key(model.role, make_body(model.role, each["messages"], each["seed"], each["stop"],
                                       each["prefill"], tools=each["tools"]))
        for each in model.requests
    ]  # fmt: skip
    form = open_format(given.get("form", "tags"), model.role)
    asked = list_requests(row["messages"], row["lineage"]["seed"], model.role, form)
    keys = [key for each in asked for key in each.keys]
    assert set(sent) <= set(keys) and len(sent) == len(replies)
    assert [each.turn for each in asked] == list(range(1, len(asked) + 1))
    # Another seed was never asked.
    other = list_requests(row["messages"], row["lineage"]["seed"] + 7, model.role, form)
    assert not {key for each in other for key in each.keys} & set(sent)


def test_what_was_taken_back_is_not_claimed_to_be_there():
    row, model = roll_out([SEARCH, too_long(), too_long(), "Oslo</answer>"], force_answer=True)
    form = open_format("tags", model.role)
    asked = list_requests(row["messages"], row["lineage"]["seed"], model.role, form)
    assert len(asked) < len(model.requests)
