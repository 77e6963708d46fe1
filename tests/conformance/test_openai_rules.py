"""What the imitations of OpenAI refuse, and OpenAI's rules for strict schemas."""

import json

import pytest

from conformance.asking import (
    ASK,
    RESULT,
    TOOL,
    TURN,
    USER,
    choose,
    post,
    refuse,
    say,
    schema_format,
)
from conformance.server import serve
from searchtrain.agent.refiner import FINDINGS_SCHEMA
from searchtrain.models.verdicts import VERDICT_SCHEMA
from searchtrain.questions.tag_form import TAG_SCHEMA


@pytest.mark.parametrize("field", ["top_k", "repetition_penalty", "min_p", "chat_template_kwargs"])
def test_openai_refuses_unknown_fields(field):
    with serve("openai") as served:
        assert refuse(served, 400, **{field: 1})["error"] == {
            "message": f"Unrecognized request argument supplied: {field}",
            "type": "invalid_request_error", "param": None, "code": None,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("messages", "said", "param"),
    [
        (
            TOOL,
            "Missing parameter 'tool_call_id': messages with role 'tool' must have a"
            " 'tool_call_id'.",
            "messages.[3].tool_call_id",
        ),
        (
            [*ASK, TURN, RESULT],
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding"
            " message with 'tool_calls'.",
            "messages.[3].role",
        ),
        ([*ASK, {"role": "user", "content": None}], "expected a string, got null",
         "messages.[2].content"),
        ([{"role": "critic", "content": "x"}], "Invalid value: 'critic'", "messages[0].role"),
        ([{**USER, "prefix": True}], "Unknown parameter: 'messages[0].prefix'.",
         "messages[0].prefix"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["openai", "openai-reasoning"])
def test_openai_refuses_messages(name, messages, said, param):
    with serve(name) as served:
        error = refuse(served, 400, messages=messages)["error"]
        assert said in error["message"] and error["param"] == param


@pytest.mark.parametrize(
    ("field", "value", "code", "said"),
    [
        ("max_tokens", 9, "unsupported_parameter",
         "Unsupported parameter: 'max_tokens' is not supported with this model."
         " Use 'max_completion_tokens' instead."),
        ("stop", ["</answer>"], "unsupported_parameter",
         "Unsupported parameter: 'stop' is not supported with this model."),
        ("temperature", 0, "unsupported_value",
         "Unsupported value: 'temperature' does not support 0 with this model."
         " Only the default (1) value is supported."),
    ],
)  # fmt: skip
def test_openai_reasoning_refuses(field, value, code, said):
    with serve("openai-reasoning") as served:
        error = refuse(served, 400, **{field: value})["error"]
        assert error == {
            "message": said, "type": "invalid_request_error", "param": field, "code": code,
        }  # fmt: skip


def test_openai_reasoning_hides_its_thought_and_counts_it():
    with serve("openai-reasoning", second=1.0) as served:
        reply = post(served, max_completion_tokens=2000, temperature=1, seed=1)
        usage = reply.json()["usage"]
        hidden = usage["completion_tokens_details"]["reasoning_tokens"]
        assert hidden > 200 and usage["completion_tokens"] > hidden
        assert not {"reasoning", "reasoning_content"} & set(choose(reply)["message"])
        short = choose(post(served, max_completion_tokens=50))
        assert (short["message"]["content"], short["finish_reason"]) == ("", "length")
        eager = post(served, max_completion_tokens=50, reasoning_effort="minimal")
        assert "<search>" in choose(eager)["message"]["content"]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "object", "properties": {}},
         "Invalid schema for response_format 'answer': In context=(), 'additionalProperties' is"
         " required to be supplied and to be false."),
        ({"type": "array", "items": {"type": "string"}}, "got 'type: \"array\"'"),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "required": [],
          "additionalProperties": False}, "Missing 'a'"),
        ({"type": "object", "properties": {"a": {"type": "string", "default": ""}},
          "required": ["a"], "additionalProperties": False},
         "In context=('properties', 'a'), 'default' is not permitted"),
        ({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object"}}},
          "required": ["a"], "additionalProperties": False},
         "In context=('properties', 'a', 'items'), 'additionalProperties'"),
    ],
)  # fmt: skip
def test_openai_refuses_schemas_that_are_not_strict(schema, said):
    with serve("openai") as served:
        error = refuse(served, 400, response_format=schema_format(schema))["error"]
        assert said in error["message"] and error["param"] == "response_format"


@pytest.mark.parametrize("schema", [TAG_SCHEMA, VERDICT_SCHEMA, FINDINGS_SCHEMA])
def test_openai_takes_the_schemas_of_the_pipeline(schema):
    with serve("openai") as served:
        user = {"question": "q", "golden_answers": ["a"], "predicted_answer": "a", "documents": []}
        messages = [{"role": "user", "content": json.dumps(user)}]
        body = {"messages": messages, "response_format": schema_format(schema)}
        answer = json.loads(say(served, **body)["content"])
        assert set(answer) == set(schema["properties"])


@pytest.mark.parametrize("name", ["a b", "é", "x" * 65])
def test_openai_refuses_names_of_schemas(name):
    with serve("openai") as served:
        error = refuse(served, 400, response_format=schema_format(TAG_SCHEMA, name))["error"]
        assert error["param"] == "response_format.json_schema.name"
