"""How turns are asked for and stored in each format, and what a stage says of a model that can not
be read."""

import asyncio
import json
import logging

import pytest

from helpers.library import ANSWER, SEARCH, Library
from helpers.transport import Transport, open_policy, roll_out
from searchtrain.agent import grammar, loop
from searchtrain.core.errors import SearchTrainError
from searchtrain.data import schemas
from searchtrain.models.model import Call, Completion

THINKS = {"reasoning": "native"}


def call(*queries, thought=None, text=""):
    calls = (Call("search", json.dumps({"queries": queries})),)
    return Completion(text, "tool_calls", 1, 1, False, "m", thought, calls)


def test_what_is_repaired_is_stored_and_sent_in_the_grammars_form():
    prose = "I will look it up.\n```\n<search>\n- Oslo\n</search>\n```"
    row, model = roll_out([prose, "<think>So.</think>\n<answer>Answer: Norway.</answer>"])
    assert row["repairs"] == ["fence", "prose_as_thought", "bullet", "sentence", "full_stop"]
    assert row["answer"] == "Norway" and row["queries"] == [["Oslo"]]
    stored = "<think>I will look it up.</think>\n<search>Oslo</search>"
    assert row["messages"][2]["content"] == model.requests[1]["messages"][2]["content"] == stored
    assert row["raw"][0].startswith("I will look it up.\n```") and "Norway." in row["raw"][1]
    grammar.validate_trajectory(row["messages"])


def test_a_turn_that_needs_no_repair_is_stored_as_it_came():
    row, model = roll_out([SEARCH, ANSWER])
    assert row["repairs"] == [] and row["raw"] == ["", ""]
    assert [request["stop"] for request in model.requests] == [grammar.STOP] * 2


def test_a_model_that_thinks_by_itself_gets_no_stop_strings():
    named = "I might write <search>Bergen</search> or so.\n</think>\n\n<search>Oslo</search>"
    row, model = roll_out([named, "So.</think>\n<answer>Norway</answer>"], role=THINKS)
    assert row["queries"] == [["Oslo"]] and row["answer"] == "Norway"
    assert [request["stop"] for request in model.requests] == [(), ()]
    assert row["repairs"] == ["named_tag"]


def test_a_thought_that_a_stop_string_ended_is_asked_for_again_without():
    whole = "<think>I can <search>x</search> now.</think>\n<search>Oslo</search>\nI wait."
    row, model = roll_out([whole, whole, ANSWER])
    assert [request["stop"] for request in model.requests] == [grammar.STOP, (), grammar.STOP]
    assert row["queries"] == [["Oslo"]] and row["stop_reason"] == "answered"
    assert row["turns"] == 2 and row["raw"][0] == whole
    kept = len(whole[: whole.index("</search>")].split()) + len(whole.split())
    assert row["completion_tokens"] == kept + len(ANSWER[: ANSWER.index("</answer>")].split())
    # What is broken without stop strings as well is told as it came first.
    broken = "<think>I need <search>Oslo</search> and <search>Bergen</search> and"
    row, model = roll_out([broken, broken, ANSWER])
    assert row["messages"][2]["content"] == "<think>I need <search>Oslo</search>"
    assert "not valid (no think)" in row["messages"][3]["content"] and row["answer"] == "Norway"


def test_an_endless_thought_is_a_token_limit_and_no_invalid_turn():
    for said in (("Okay, so <search>Oslo</search>", "length"), "Okay, so <search>Oslo</search>"):
        library = Library()
        row, _ = roll_out([said], role=THINKS, library=library)
        assert row["stop_reason"] == "token_limit" and not library.asked


def test_tool_calls_from_the_first_turn_to_the_answer():
    replies = [
        call("Oslo", thought="I need Oslo."),
        Completion("", "tool_calls", 1, 1, False, "m", None, (Call("open", "{}"),)),
        Completion("Norway", "stop", 1, 1, False, "m", "So it is."),
    ]
    row, model = roll_out(replies, form="tool_calls", role=THINKS)
    assert (row["answer"], row["stop_reason"], row["queries"]) == ("Norway", "answered", [["Oslo"]])
    turns = [m["content"] for m in row["messages"] if m["role"] == "assistant"]
    assert turns[0] == "<think>I need Oslo.</think>\n<search>Oslo</search>"
    assert turns[2] == "<think>So it is.</think>\n<answer>Norway</answer>"
    assert all(request["tools"] for request in model.requests)
    second, third = (request["messages"] for request in model.requests[1:])
    assert second[3]["role"] == "tool" and second[3]["tool_call_id"] == "call_0"
    assert second[2]["tool_calls"][0]["id"] == "call_0"
    assert third[-1]["role"] == "user" and "Call the tool search" in third[-1]["content"]
    assert "<search>" not in str(third)


def test_search_r1_goes_on_with_its_own_message():
    row, model = roll_out([SEARCH, ANSWER], form="search_r1")
    assert row["stop_reason"] == "answered" and row["raw"] == ["", ""]
    first, second = model.requests
    assert (first["prefill"], [m["role"] for m in first["messages"]]) == ("", ["user"])
    assert second["messages"] == first["messages"]
    assert second["prefill"].startswith(f"{SEARCH}\n\n<information>Doc 1(Title: ")
    grammar.validate_trajectory(row["messages"])


def test_simpledeepsearchers_way_is_search_r1_inside_the_thought():
    replies = ["Okay. <search>Oslo</search>", "It says so.\n</think>\n\n<answer>Norway</answer>"]
    row, model = roll_out(replies, form="search_r1", role=THINKS)
    assert row["answer"] == "Norway" and row["repairs"] == []
    first, second = (request["prefill"] for request in model.requests)
    assert first == "<think>\n" and second.startswith(
        "<think>\nOkay.\n<search>Oslo</search>\n\n<inf"
    )
    assert "</think>" not in second and model.requests[0]["stop"] == grammar.STOP
    turns = [m["content"] for m in row["messages"] if m["role"] == "assistant"]
    assert turns == [
        "<think>Okay.</think>\n<search>Oslo</search>",
        "<think>It says so.</think>\n<answer>Norway</answer>",
    ]


def run(replies, count, *, role=None, needs_turns=True, **limits):
    attempts = [loop.Attempt(str(n), "q", ("a",), "s", (), 0, n) for n in range(count)]
    model = Transport(replies, **(role or {}))
    policy = open_policy(model, **limits)
    rows = asyncio.run(
        loop.run_rollouts(attempts, policy, Library(), 0.0, "x", needs_turns=needs_turns)
    )
    schemas.validate_table(rows, schemas.Trajectories, "rows")
    return rows, loop.report_rollouts(rows, count, policy, Library()), model


def test_the_report_counts_repairs_by_kind():
    said = "Sure.\n<think>So.</think>\n<answer>**Norway**</answer>"
    _, report, _ = run(lambda request: said, 3)
    assert report["repairs"] == {"markup": 3, "prose": 3}


def test_a_stage_stops_whose_first_rollouts_have_no_valid_turn():
    def speak(request):
        return f"<search>question {request['seed']}</search>"

    with pytest.raises(SearchTrainError) as caught:
        run(speak, 200, role={"concurrency": 1})
    said = str(caught.value)
    assert "none of the first 20 rollouts" in said and "<search>question" in said
    for setting in ("models.teacher.reasoning (none)", "format (tags)", "dialect (vllm)"):
        assert setting in said
    with pytest.raises(SearchTrainError, match="Okay, so"):
        run(lambda request: ("Okay, so", "length"), 40, role=THINKS)


def test_one_valid_turn_is_enough_to_go_on():
    def speak(request):
        return ANSWER if request["seed"] == 19 else "Hm."

    rows, _, _ = run(speak, 60, role={"concurrency": 1})
    assert rows["stop_reason"].to_list().count("answered") == 1


def test_fewer_rollouts_than_that_are_no_proof(caplog):
    rows, _, _ = run(lambda request: "Hm.", 19)
    assert set(rows["stop_reason"]) == {"invalid_turn"}


def test_a_student_that_has_learnt_nothing_is_scored_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        rows, _, _ = run(lambda request: "Hm.", 50, needs_turns=False)
    assert rows.height == 50 and "none of the first 20 rollouts" in caplog.text
