"""What refusals mean, in the endpoints' own words (quoted in threads and docs)."""

import pytest

from searchtrain.config.dialects import DIALECTS
from searchtrain.models.refusal import adapt, find_room, read_refusal

VLLM_LONG = (
    "This model's maximum context length is 1024 tokens. However, you requested 900 output tokens"
    " and your prompt contains at least 125 input tokens, for a total of at least 1025 tokens."
    " Please reduce the length of the input prompt or the number of requested output tokens."
)
SGLANG_LONG = (
    "Requested token count exceeds the model's maximum context length of 64000 tokens. You"
    " requested a total of 71897 tokens: 7897 tokens from the input messages and 64000 tokens for"
    " the completion. Please reduce the number of tokens in the input messages or the completion."
)
OPENAI_LONG = (
    "This model's maximum context length is 128000 tokens. However, your messages resulted in"
    " 204308 tokens. Please reduce the length of the messages."
)
DEEPSEEK_LONG = (
    "This model's maximum context length is 131072 tokens. However, you requested 140000 tokens"
    " (131000 in the messages, 9000 in the completion). Please reduce the length."
)
TGI_LONG = (
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000"
    " `inputs` tokens and 512 `max_new_tokens`"
)


def openai(message, **fields):
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return {"error": {**error, **fields}}


@pytest.mark.parametrize(
    ("status", "body", "asked", "room"),
    [
        (400, openai(VLLM_LONG, param="input_tokens", code=400), 900, 450),
        (400, openai("max_tokens=2000 cannot be greater than max_model_len=max_total_tokens=1024."
                     " Please request fewer output tokens.", param="max_tokens"), 2000, 1000),
        (400, openai(OPENAI_LONG, code="context_length_exceeded", param="messages"), 512, 0),
        (400, {"object": "error", "message": SGLANG_LONG, "code": 400}, 64000, 56103),
        (400, {"object": "error", "message": "The input (70000 tokens) is longer than the model's"
               " context length (64000 tokens)."}, 512, 0),
        (422, {"error": TGI_LONG, "error_type": "validation"}, 512, 96),
        (400, openai(DEEPSEEK_LONG), 9000, 72),
        (400, openai("Range of input length should be [1, 129024]"), 512, 0),
        (400, openai("Range of max_tokens should be [1, 8192]"), 20480, 10240),
        (400, openai("the request exceeds the available context size", code=400), 512, 0),
    ],
)  # fmt: skip
def test_no_room_is_told_in_many_ways_and_less_is_asked_for(status, body, asked, room):
    refusal = read_refusal(status, body)
    assert refusal.has_no_room and find_room(refusal, asked) == room


@pytest.mark.parametrize(
    ("kind", "body", "sent", "changes"),
    [
        ("vllm", openai("Missing parameter 'tool_call_id': messages with role 'tool' must have a"
                        " 'tool_call_id'.", param="messages.[3].tool_call_id"),
         {}, {"observations": "user"}),
        ("vllm", openai("Message has tool role, but there was no previous assistant message with a"
                        " tool call!"), {}, {"observations": "user"}),
        ("vllm", openai("<400> InternalError.Algo.InvalidParameter: messages with role \"tool\""
                        " must be a response to a preceeding message with \"tool_calls\"."),
         {}, {"observations": "user"}),
        ("openai", openai("This response_format type is unavailable now"),
         {"response_format": {}}, {"answers": "json_object"}),
        ("openai", openai("Invalid schema for response_format 'answer': In context=(),"
                          " 'additionalProperties' is required.", param="response_format"),
         {"response_format": {}}, {"answers": "json_object"}),
        ("openai", openai("Unsupported parameter: 'max_tokens' is not supported with this model."
                          " Use 'max_completion_tokens' instead.", code="unsupported_parameter"),
         {"max_tokens": 9}, {"length": "max_completion_tokens"}),
        ("openai", openai("Unsupported parameter: 'stop' is not supported with this model.",
                          code="unsupported_parameter", param="stop"),
         {"stop": ["x"]}, {"stop": False}),
        ("dashscope", openai("parameter.enable_thinking must be set to false for non-streaming"
                             " calls"), {}, {"streams": True}),
        ("openrouter", {"error": {"message": "Provider returned error", "code": 400, "metadata": {
            "raw": '{"error":"Unsupported parameter: stop"}', "provider_name": "x"}}},
         {"stop": ["x"]}, {"stop": False}),
    ],
)  # fmt: skip
def test_a_form_that_is_refused_is_replaced_by_one_that_means_the_same(kind, body, sent, changes):
    dialect = DIALECTS[kind]
    learnt = adapt(dialect, read_refusal(400, body), sent)
    assert learnt and {key: getattr(learnt, key) for key in changes} == changes


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (openai("Unrecognized request argument supplied: top_k"), "top_k"),
        (openai("Unsupported value: 'temperature' does not support 0 with this model. Only the"
                " default (1) value is supported.", param="temperature", code="unsupported_value"),
         "temperature"),
    ],
)  # fmt: skip
def test_sampling_is_never_changed_and_the_field_is_named(body, field):
    refusal = read_refusal(400, body)
    assert adapt(DIALECTS["openai"], refusal, {"temperature": 0, "top_k": 4}) is None
    assert refusal.names_field == field


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, openai("You exceeded your current quota", code="insufficient_quota")),
        (400, openai("The supported API model names are deepseek-v4-pro or deepseek-v4-flash, but"
                     " you passed deepseek-chat.")),
        (402, openai("Insufficient Balance")),
    ],
)  # fmt: skip
def test_what_never_passes_is_final(status, body):
    assert read_refusal(status, body).is_final


def test_a_busy_server_and_a_filtered_text_are_not():
    assert not read_refusal(429, openai("Rate limit", code="rate_limit_exceeded")).is_final
    filtered = read_refusal(400, openai("Output data may contain inappropriate content."))
    assert not filtered.is_final and not filtered.names_field


def test_an_error_inside_a_reply_has_its_own_status():
    refusal = read_refusal(200, {"error": {"code": 502, "message": "Provider returned error"}})
    assert refusal.status == 502
