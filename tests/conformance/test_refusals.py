"""What the imitations refuse, in the words that the project's reference on real models quotes."""

import json
import re

import pytest

from conformance.asking import (
    ANSWER,
    ASK,
    CALLED,
    CLIENT,
    FILLER,
    RESULT,
    SYSTEM,
    TAGGER,
    TOOL,
    TURN,
    USER,
    choose,
    join,
    post,
    refuse,
    say,
    schema_format,
)
from conformance.kinds import KINDS
from conformance.server import serve
from searchtrain.questions.tag_form import TAG_SCHEMA


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("openai", "'messages' must contain the word 'json' in some form, to use 'response_format'"
         " of type 'json_object'."),
        ("deepseek", "Prompt must contain the word 'json' in some form to use 'response_format' of"
         " type 'json_object'."),
        ("dashscope", "'messages' must contain the word 'json'"),
    ],
)  # fmt: skip
def test_json_object_needs_the_word(name, said):
    wanted = {"type": "json_object"}
    with serve(name) as served:
        error = refuse(served, 400, response_format=wanted)["error"]
        assert said in error["message"]
    with serve(name, empty_json=0.0) as served:
        body = {"messages": [TAGGER, USER], "response_format": wanted}
        assert json.loads(say(served, **body)["content"])["domain"] == "time zones"


@pytest.mark.parametrize(
    ("name", "context", "limit", "said", "code", "param"),
    [
        ("openai", 3000, 10,
         r"maximum context length is 3000 tokens\. However, your messages resulted in \d+ tokens",
         "context_length_exceeded", "messages"),
        ("vllm-qwen25", 3000, 10,
         r"maximum context length is 3000 tokens\. However, you requested 10 output tokens and your"
         r" prompt contains at least 2991 input tokens, for a total of at least 3001 tokens\.",
         400, "input_tokens"),
        ("vllm-qwen25", 8000, 7000, r"you requested 7000 output tokens and your prompt contains",
         400, "input_tokens"),
        ("vllm-qwen25", 1024, 2000,
         r"max_tokens=2000 cannot be greater than max_model_len=max_total_tokens=1024\. Please",
         400, "max_tokens"),
        ("dashscope", 3000, 10, r"Range of input length should be \[1, 3000\]",
         "invalid_parameter_error", None),
        ("deepseek", 3000, 10, r"maximum context length is 3000 tokens", "invalid_request_error",
         None),
        ("llamacpp", 3000, 10, r"request \(\d+ tokens\) exceeds the available context size", 400,
         None),
        ("openrouter", 3000, 10, r"maximum context length is 3000 tokens", 400, None),
    ],
)  # fmt: skip
def test_too_long_is_worded_as_by_each(name, context, limit, said, code, param):
    limits = "max_tokens" if name != "openai-reasoning" else "max_completion_tokens"
    with serve(name, context=context) as served:
        body = refuse(served, 400, messages=[SYSTEM, FILLER], **{limits: limit})
        error = body["error"]
        assert re.search(said, error["message"]), error
        assert (error["code"], error.get("param")) == (code, param)


def test_vllm_counts_the_prompt_that_its_tokenizer_cut():
    """The reference's own numbers: 1,024 tokens, 900 asked for, 125 at least."""
    with serve("vllm-qwen25", context=1024) as served:
        body = refuse(served, 400, messages=[SYSTEM, FILLER], max_tokens=900)
        assert body["error"]["message"] == (
            "This model's maximum context length is 1024 tokens. However, you requested 900 output"
            " tokens and your prompt contains at least 125 input tokens, for a total of at least"
            " 1025 tokens. Please reduce the length of the input prompt or the number of requested"
            " output tokens."
        )
        assert body["error"]["type"] == "BadRequestError"


def test_sglang_has_its_message_at_the_top():
    with serve("sglang", context=3000) as served:
        body = refuse(served, 400, messages=[SYSTEM, FILLER], max_tokens=10)
        assert body["object"] == "error" and "error" not in body
        assert re.match(
            r"The input \(\d+ tokens\) is longer than the model's context length \(3000 tokens\)\.",
            body["message"],
        )
    with serve("sglang", context=8000) as served:
        body = refuse(served, 400, messages=[SYSTEM, FILLER], max_tokens=7000)
        assert "Requested token count exceeds the model's maximum context length" in body["message"]


def test_tgi_refuses_with_422():
    with serve("tgi", context=3000) as served:
        body = refuse(served, 422, messages=[SYSTEM, FILLER], max_tokens=10)
        assert body["error_type"] == "validation"
        assert body["error"].startswith(
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 3000. Given: "
        )
    for wanted in (schema_format(TAG_SCHEMA), {"type": "json_object"}):
        with serve("tgi") as served:
            reply = post(served, messages=[TAGGER, USER], response_format=wanted)
            assert reply.status_code == 422 and "missing field `value`" in reply.text
    with serve("tgi") as served:
        for wanted in (
            {"type": "json_schema", "value": {"name": "answer", "schema": TAG_SCHEMA}},
            {"type": "json_object", "value": TAG_SCHEMA},
        ):
            message = say(served, messages=[TAGGER, USER], response_format=wanted)
            assert set(json.loads(message["content"])) == {"domain", "key_points"}


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (TOOL, r"Failed to deserialize the JSON body into the target type: messages\[3\]: missing"
         r" field `tool_call_id` at line 1 column \d+"),
        ([*ASK, TURN, RESULT],
         "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'"),
        ([*ASK, CALLED, RESULT],
         "The `reasoning_content` in the thinking mode must be passed back to the API."),
        ([{"role": "developer", "content": "x"}, USER], "unknown variant `developer`"),
    ],
)  # fmt: skip
def test_deepseek_refuses_messages(messages, said):
    with serve("deepseek") as served:
        assert re.match(f".*{said}", refuse(served, 400, messages=messages)["error"]["message"])


def test_deepseek_refuses_json_schema_and_old_names():
    with serve("deepseek") as served:
        assert refuse(served, 400, response_format=schema_format(TAG_SCHEMA))["error"] == {
            "message": "This response_format type is unavailable now",
            "type": "invalid_request_error", "param": None, "code": "invalid_request_error",
        }  # fmt: skip
    for name in ("deepseek-chat", "deepseek-reasoner"):
        with serve("deepseek") as served:
            said = refuse(served, 400, model=name)["error"]["message"]
            assert said.startswith(
                "The supported API model names are deepseek-v4-pro or deepseek-v4-flash, but you"
                f" passed {name}"
            )


@pytest.mark.parametrize("messages", [TOOL, [*ASK, TURN, RESULT]])
def test_dashscope_refuses(messages):
    with serve("dashscope") as served:
        error = refuse(served, 400, messages=messages)["error"]
        assert error["message"] == (
            '<400> InternalError.Algo.InvalidParameter: messages with role "tool" must be a'
            ' response to a preceeding message with "tool_calls".'
        )
    with serve("dashscope") as served:
        error = refuse(served, 400, enable_thinking=None)["error"]
        assert error["code"] == "invalid_parameter_error"
        assert error["message"] == (
            "parameter.enable_thinking must be set to false for non-streaming calls"
        )


def test_dashscope_qwq_only_streams():
    with serve("dashscope-qwq") as served:
        error = refuse(served, 400)["error"]
        assert error["message"].startswith("This model only support stream mode, please enable")
        texts = join(post(served, stream=True))
        assert texts["reasoning_content"].startswith("Okay") and "<search>" in texts["content"]


@pytest.mark.parametrize("messages", [TOOL, [*ASK, TURN, RESULT]])
def test_openrouter_wraps_the_provider(messages):
    with serve("openrouter") as served:
        body = refuse(served, 400, messages=messages)
        error = body["error"]
        assert (error["message"], error["code"]) == ("Provider returned error", 400)
        raw = json.loads(error["metadata"]["raw"])["error"]
        assert raw["param"].startswith("messages.[3]") and error["metadata"]["provider_name"]
        assert body["user_id"]


def test_openrouter_fails_with_status_200():
    with serve("openrouter", every=2) as served:
        assert "choices" in post(served).json()
        reply = post(served)
        body = reply.json()
        assert reply.status_code == 200 and "choices" not in body and body["error"]["code"] in (
            502, 503, 408,
        )  # fmt: skip
        assert "choices" in post(served).json()
        assert served.ledger.refusals == {"error_200": 1}


@pytest.mark.parametrize(
    ("body", "said", "param", "kind"),
    [
        ({"stop": list("abcde")}, "List should have at most 4 items after validation, not 5",
         "body.stop", "Bad Request"),
        ({"stop": [""]}, "stop cannot contain an empty string.", None, "BadRequestError"),
        ({"response_format": schema_format({"type": "nonsense"})},
         "Grammar error: Invalid type: nonsense", None, "BadRequestError"),
        ({"messages": []}, "list index out of range", None, "BadRequestError"),
        ({"top_p": 0}, "top_p must be in (0, 1], got 0.", "top_p", "BadRequestError"),
        ({"temperature": 3}, "temperature must be in [0, 2], got 3.", "temperature",
         "BadRequestError"),
        ({"repetition_penalty": 0}, "repetition_penalty must be greater than zero", None,
         "BadRequestError"),
        ({"continue_final_message": True, "add_generation_prompt": True},
         "Cannot set both `continue_final_message` and `add_generation_prompt` to True.", None,
         "BadRequestError"),
    ],
)  # fmt: skip
def test_vllm_refuses(body, said, param, kind):
    with serve("vllm-qwen25") as served:
        error = refuse(served, 400, **body)["error"]
        assert said in error["message"], error
        assert (error["param"], error["type"], error["code"]) == (param, kind, 400)


def test_vllm_refuses_other_models():
    with serve("vllm-qwen25") as served:
        error = refuse(served, 404, model="gpt-4o")["error"]
        assert (error["type"], error["param"]) == ("NotFoundError", "model")


@pytest.mark.parametrize(
    "name", ["vllm-qwen25", "sglang", "tgi", "llamacpp", "chatty", "deepseek", "openrouter"]
)
def test_unknown_fields_are_ignored(name):
    with serve(name) as served:
        choose(post(served, nonsense=1, top_k=20))
        assert served.ledger.sent("top_k") == [20]
        assert frozenset({"model", "messages", "nonsense", "top_k"}) in served.ledger.fields


@pytest.mark.parametrize("name", ["vllm-qwen25", "sglang", "tgi", "llamacpp"])
def test_local_servers_take_the_role_tool(name):
    with serve(name) as served:
        assert f"<answer>{ANSWER}</answer>" in say(served, messages=TOOL)["content"]
        assert served.ledger.forms == {"tool": 1}


def test_gpt_oss_refuses_the_role_tool_without_calls():
    with serve("vllm-gpt-oss") as served:
        assert refuse(served, 400, messages=TOOL)["error"]["message"] == (
            "Message has tool role, but there was no previous assistant message with a tool call!"
        )


@pytest.mark.parametrize("name", list(KINDS))
def test_keys(name):
    """A wrong key is 401 everywhere, the right one is not."""
    with serve(name, key="secret", every=0, quota=None) as served:
        assert post(served, headers={"Authorization": "Bearer wrong"}).status_code == 401
        right = {"Authorization": "Bearer secret"}
        assert post(served, headers=right).status_code != 401
        assert CLIENT.get(f"{served.url}/models", headers=right).json()["data"][0]["id"]
        assert CLIENT.get(f"{served.url}/models").status_code == 401
