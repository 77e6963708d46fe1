"""Formats: one stored conversation, three ways to write it, and the way back."""

import json

import pytest

from helpers.library import OSLO
from searchtrain.agent import grammar
from searchtrain.agent.calls import read_turn
from searchtrain.agent.formats import FORMATS, IN_THOUGHT, find_thoughts, open_format
from searchtrain.core.errors import InputError
from searchtrain.models.model import Call, Completion
from searchtrain.models.request import make_body
from searchtrain.models.role import Role

OBSERVATION = grammar.render_observation([("Oslo", [OSLO])], 500)
BOTH = grammar.render_observation([("Oslo", [OSLO]), ("Bergen", [])], 500)
NOTICE = grammar.render_notice("That turn was not valid.")
MESSAGES = [
    {"role": "system", "content": "Answer by searching."},
    {"role": "user", "content": "Where is Oslo?"},
    {"role": "assistant", "content": grammar.render_turn("I need it.", queries=["Oslo"])},
    {"role": "tool", "content": OBSERVATION},
    {"role": "assistant", "content": "Oslo is in Norway."},
    {"role": "tool", "content": NOTICE},
    {"role": "assistant", "content": grammar.render_turn("Both.", queries=["Oslo", "Bergen"])},
    {"role": "tool", "content": BOTH},
    {"role": "assistant", "content": grammar.render_turn("So it is.", answer="Norway")},
]


def test_tags_are_what_is_stored():
    assert FORMATS["tags"].render_messages(MESSAGES) == MESSAGES
    assert FORMATS["tags"].make_request(MESSAGES[:4]) == (MESSAGES[:4], "")
    assert FORMATS["tags"].stop == grammar.STOP and not FORMATS["tags"].tools


def test_search_r1_is_one_growing_message():
    form = FORMATS["search_r1"]
    question = {
        "role": "user", "content": "Answer by searching. Question: Where is Oslo?\n",
    }  # fmt: skip
    assert form.render_messages(MESSAGES[:2]) == [question]
    assert form.make_request(MESSAGES[:2]) == ([question], "")
    first = (
        "<think>I need it.</think>\n<search>Oslo</search>"
        '\n\n<information>Doc 1(Title: "Oslo") Oslo is a city in Norway.\n</information>\n\n'
    )
    assert form.make_request(MESSAGES[:4]) == ([question], first)
    asked, whole = form.render_messages(MESSAGES)
    assert asked == question and whole["role"] == "assistant"
    assert whole["content"].startswith(first + "Oslo is in Norway.\n\n<information>That turn was")
    assert whole["content"].endswith("<think>So it is.</think>\n<answer>Norway</answer>")
    assert "Query: Bergen\nNo passage was found.\n</information>\n\n<think>So" in whole["content"]


def test_every_request_of_search_r1_is_the_beginning_of_what_is_trained_on():
    form = FORMATS["search_r1"]
    whole = form.render_messages(MESSAGES)[1]["content"]
    for end in (2, 4, 6, 8):
        messages, prefill = form.make_request(MESSAGES[:end])
        assert whole.startswith(prefill) and messages == form.render_messages(MESSAGES[:2])


def test_search_r1_inside_a_thought():
    """SimpleDeepSearcher's way: one thought that grows, closed before the answer."""
    messages, prefill = IN_THOUGHT.make_request(MESSAGES[:4])
    assert messages == FORMATS["search_r1"].render_messages(MESSAGES[:2])
    assert prefill.startswith("<think>\nI need it.\n<search>Oslo</search>\n\n<information>Doc 1(")
    assert IN_THOUGHT.make_request(MESSAGES[:2])[1] == "<think>\n" and "</think>" not in prefill

    def read(text):
        return read_turn(Completion(text, "stop", 1, 1, False), IN_THOUGHT, "native")

    searched = read("Okay, I look it up. <search>Oslo</search>")
    assert searched.turn == grammar.Turn("Okay, I look it up.", queries=("Oslo",))
    assert read("Okay. <search>Oslo").turn.queries == ("Oslo",)  # the server keeps no stop string
    answered = read("So it is in Norway.\n</think>\n\n<answer>Norway</answer>")
    assert answered.turn == grammar.Turn("So it is in Norway.", answer="Norway")
    assert not searched.repairs and not answered.repairs
    ran_on = read(
        "I look. <search>Oslo</search>\n\n<information>Made up.</information>\nSo</think>"
    )
    assert ran_on.turn.queries == ("Oslo",) and ran_on.repairs == ("invented_information",)


def test_tool_calls_are_native_calls_and_their_results():
    form = FORMATS["tool_calls"]
    rendered = form.render_messages(MESSAGES)
    assert rendered[:2] == MESSAGES[:2]
    arguments = json.dumps({"queries": ["Oslo"]})
    assert rendered[2] == {
        "role": "assistant",
        "content": "I need it.",
        "tool_calls": [
            {
                "id": "call_0",
                "type": "function",
                "function": {"name": "search", "arguments": arguments},
            }
        ],
    }
    shown = OBSERVATION.removeprefix("<information>\n").removesuffix("\n</information>")
    assert rendered[3] == {"role": "tool", "tool_call_id": "call_0", "content": shown}
    assert rendered[4] == MESSAGES[4]
    assert rendered[5] == {"role": "user", "content": "That turn was not valid."}
    assert rendered[6]["tool_calls"][0]["id"] == rendered[7]["tool_call_id"] == "call_1"
    assert rendered[8] == {
        "role": "assistant", "content": "So it is.\n\n<answer>Norway</answer>",
    }  # fmt: skip
    assert form.tools[0]["function"]["name"] == "search" and not form.stop
    body = make_body(Role("teacher", "m"), rendered, 1, tools=form.tools)
    assert body["messages"] == rendered and body["tools"] == list(form.tools)


@pytest.mark.parametrize("name", FORMATS)
def test_a_turn_is_read_back_from_what_is_trained_on(name):
    """What a student that learnt its lesson writes is the turn that it learnt."""
    form = FORMATS[name]
    for message in MESSAGES[2::2]:
        if message["content"] == "Oslo is in Norway.":
            continue
        rendered = form.render_messages([*MESSAGES[:2], message])[-1]
        calls = tuple(
            Call(call["function"]["name"], call["function"]["arguments"])
            for call in rendered.get("tool_calls", ())
        )
        reading = read_turn(Completion(rendered["content"], "stop", 1, 1, False, calls=calls), form)
        assert reading.text == message["content"] and not reading.repairs
        assert reading.turn == grammar.parse_turn(message["content"])


def test_a_format_that_the_endpoint_does_not_take_is_refused():
    refused = Role("teacher", "m", dialect="openai")
    with pytest.raises(InputError, match=r"models\.teacher\.format: search_r1 .* dialect openai"):
        open_format("search_r1", refused)
    for name in ("tags", "tool_calls"):
        assert open_format(name, refused) is FORMATS[name]
    assert open_format("search_r1", Role("teacher", "m", dialect="vllm")).stop == grammar.STOP
    native = Role("teacher", "m", dialect="vllm", reasoning="native")
    assert open_format("search_r1", native) is IN_THOUGHT
    assert open_format("tags", native) is FORMATS["tags"]


def test_a_model_that_thinks_gets_its_thoughts_back_beside_its_calls():
    """Else DeepSeek answers 400: `reasoning_content` must be passed back."""
    form = open_format("tool_calls", Role("teacher", "m", reasoning="native"))
    turn = form.render_messages(MESSAGES[:3])[2]
    assert (turn["content"], turn["reasoning_content"]) == ("", "I need it.")
    student = open_format("tool_calls", Role("student", "m", dialect="vllm", reasoning="native"))
    assert student is FORMATS["tool_calls"]


def test_thoughts_are_where_the_role_says():
    assert find_thoughts(Role("t", "m")) == "written"
    assert find_thoughts(Role("t", "m", reasoning="native", dialect="vllm")) == "native"
    assert find_thoughts(Role("t", "m", reasoning="native", dialect="openai_reasoning")) == "hidden"


def test_what_a_model_is_told_fits_its_format():
    fault = read_turn(Completion("No.", "stop", 1, 1, False), FORMATS["tags"]).fault
    assert "think block" in FORMATS["tags"].explain(fault)
    told = FORMATS["tool_calls"].explain(fault)
    assert "Call the tool search" in told and "block, and" in told and "search block" not in told
