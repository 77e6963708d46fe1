"""What is sent to which kind of endpoint, as the endpoints' own documentation and refusals say."""

import pytest

from searchtrain.config import Config, Sampling, read_config
from searchtrain.config.dialects import DIALECTS, find_dialect
from searchtrain.core.errors import InputError
from searchtrain.models.request import make_body, make_key
from searchtrain.models.role import Role, make_role

ASK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is Oslo?"}]
SEEN = [
    *ASK,
    {"role": "assistant", "content": "<think>x</think>\n<search>Oslo</search>"},
    {"role": "tool", "content": "<information>\nOslo is in Norway.\n</information>"},
]
SCHEMA = {
    "type": "object",
    "properties": {"domain": {"type": "string"}},
    "required": ["domain"],
    "additionalProperties": False,
}
STOP = ("</search>", "</answer>")


def body(dialect, messages=ASK, *, reasoning="none", wire=None, sampling=None, **options):
    sampling = {"temperature": 0.7, "max_tokens": 64} if sampling is None else sampling
    role = Role("teacher", "m", "1", sampling, dialect, wire or {}, reasoning)
    return make_body(role, messages, 3, **options)


@pytest.mark.parametrize("name", DIALECTS)
def test_every_preset_takes_a_turn_and_an_object(name):
    assert body(name, SEEN, stop=STOP)["messages"][1] == ASK[1]
    assert "Oslo" in str(body(name, schema=SCHEMA)["messages"])


def test_vllm_samples_as_configured_and_not_as_the_models_file_says():
    sent = body("vllm", stop=STOP)
    neutral = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
    assert sent | neutral == sent and sent["temperature"] == 0.7
    assert body("vllm", sampling={"top_k": 40, "top_p": 0.9})["top_k"] == 40
    assert sent["extra_body"] == {"include_stop_str_in_output": True}


@pytest.mark.parametrize("name", ["openai", "deepseek", "dashscope", "openrouter", "llamacpp"])
def test_an_observation_is_a_users_message_where_role_tool_is_refused(name):
    last = body(name, SEEN)["messages"][-1]
    assert last["role"] == "user"
    assert last["content"].startswith("<tool_response>\n<information>")


def test_a_native_tool_message_stays_everywhere():
    called = {"role": "tool", "tool_call_id": "call_0", "content": "Norway"}
    assert body("openai", [*ASK, called])["messages"][-1] == called


def test_the_o_series_gets_no_field_that_it_refuses():
    sent = body("openai_reasoning", stop=STOP, reasoning="native")
    assert sent.keys() == {"model", "seed", "messages", "max_completion_tokens"}


def test_deepseek_gets_json_mode_with_the_schema_and_thinks_only_where_it_may():
    sent = body("deepseek", schema=SCHEMA, reasoning="native")
    assert sent["response_format"] == {"type": "json_object"}
    assert "JSON" in sent["messages"][0]["content"] and "domain" in sent["messages"][0]["content"]
    assert sent["thinking"] == {"type": "disabled"} and sent["max_tokens"] == 64
    assert body("deepseek", reasoning="native")["thinking"] == {"type": "enabled"}
    assert body("deepseek")["thinking"] == {"type": "disabled"}


def test_a_thought_that_can_not_be_switched_off_has_tokens_of_its_own():
    assert (
        body("openai_reasoning", schema=SCHEMA, reasoning="native")["max_completion_tokens"]
        == 64 + 4096
    )
    assert body("openai", schema=SCHEMA)["max_tokens"] == 64


def test_a_begun_message_is_continued_without_a_thought():
    sent = body("vllm", prefill="<answer>", reasoning="native")
    assert sent["messages"][-1] == {"role": "assistant", "content": "<answer>"}
    assert sent["extra_body"]["continue_final_message"]
    assert sent["chat_template_kwargs"] == {"enable_thinking": False}
    with pytest.raises(InputError, match="can continue a message"):
        body("openai", prefill="<answer>")


def test_a_role_can_correct_its_dialect_and_take_a_sampling_key_away():
    assert body("vllm", SEEN, wire={"observations": "user"})["messages"][-1]["role"] == "user"
    sampling = Sampling(temperature=None, max_tokens=None, max_completion_tokens=9).tracked()
    sent = body("openai", sampling=sampling)
    assert "temperature" not in sent and "max_tokens" not in sent
    assert sent["max_completion_tokens"] == 9


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        ({"observation": "user"}, r"models\.teacher: unknown key wire\.observation; known here: "),
        (
            {"observations": "system"},
            r"wire\.observations: 'system' is not allowed; .*tool",
        ),
    ],
)
def test_a_wrong_correction_is_named(wire, message):
    with pytest.raises(InputError, match=message):
        read_config({"models": {"teacher": {"wire": wire}}})


def test_sampling_may_hold_fields_for_the_body():
    sent = body("openai", sampling={"extra_body": {"thinking": {"type": "disabled"}}})
    assert sent["extra_body"] == {"thinking": {"type": "disabled"}}


def key(changes):
    role = make_role(read_config(changes), "teacher", Sampling(temperature=0.0))
    return make_key(role, make_body(role, ASK, 3))


def test_a_changed_server_argument_brings_no_old_answer_back():
    served = {"serve": "vllm", "dialect": "vllm", "model": "m"}
    auto = {**served, "vllm": {"args": {"generation-config": "auto"}}}
    quick = {**served, "vllm": {"tuning": {"max-num-seqs": 4}}}
    plain = key({"models": {"teacher": served}})
    assert key({"models": {"teacher": auto}}) != plain == key({"models": {"teacher": quick}})


def test_the_arguments_of_a_server_mean_nothing_to_an_endpoint():
    bought = {"serve": None, "endpoint": "http://127.0.0.1:9/v1", "model": "m"}
    other = {**bought, "vllm": {"args": {"dtype": "float16"}}}
    assert key({"models": {"teacher": bought}}) == key({"models": {"teacher": other}})


def test_presets_are_checked():
    assert find_dialect("sglang", {}).always["top_k"] == -1
    assert Config().models.teacher.dialect == "openai"
