"""Where the imitations put a thought, a continuation and a JSON answer, and what templates do."""

import json

import pytest

from conformance.asking import (
    ANSWER,
    AS_USER,
    FORCED,
    TAGGER,
    TOOL,
    USER,
    choose,
    post,
    refuse,
    say,
    schema_format,
)
from conformance.endpoints.vllm import NO_ROLE_AFTER_TOOL
from conformance.server import serve
from conformance.templates import find_folder, render
from searchtrain.agent import grammar
from searchtrain.questions.tag_form import TAG_SCHEMA

NEEDS_TEMPLATES = pytest.mark.skipif(find_folder() is None, reason="no chat templates at hand")

# Section 1: where the thought is.


def test_qwq_begins_inside_its_thought():
    with serve("vllm-qwq", mentions=0.0, second=0.0, babbles=0.0) as served:
        message = say(served)
        thought, end, text = message["content"].partition("</think>")
        assert "<think>" not in thought and end and text == "\n\n<search>city Lyon</search>"
        assert message["reasoning"] is None


def test_stop_strings_count_inside_a_thought():
    stop = ["</search>", "</answer>"]
    with serve("vllm-qwq", mentions=1.0) as served:
        choice = choose(post(served, stop=stop, include_stop_str_in_output=True))
        assert choice["message"]["content"].endswith("close that with </search>")
        assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", "</search>")
        assert "</think>" in say(served)["content"]


@pytest.mark.parametrize(
    ("name", "field"),
    [("vllm-qwq-parser", "reasoning"), ("vllm-qwq-parser-old", "reasoning_content")],
)
def test_parser_takes_the_thought_out(name, field):
    with serve(name, mentions=0.0, second=0.0, endless=0.0) as served:
        reply = post(served)
        message = choose(reply)["message"]
        assert message[field].startswith("Okay") and message["content"].startswith("\n\n<search>")
        # `deepseek_r1` counts between two tags, and the template has written the first.
        assert reply.json()["usage"]["completion_tokens_details"] == {"reasoning_tokens": 0}
        other = {"reasoning", "reasoning_content"} - {field}
        assert not other & set(message)
        hidden = say(served, include_reasoning=False)
        assert hidden[field] is None and hidden["content"] == message["content"]


def test_thought_without_end_is_all_there_is():
    with serve("vllm-qwq-parser", endless=1.0) as served:
        choice = choose(post(served, max_tokens=300))
        assert choice["message"]["content"] is None and choice["finish_reason"] == "length"
        assert len(choice["message"]["reasoning"]) == 1200


def test_cut_thought_leaves_nothing():
    with serve("vllm-qwq-parser", endless=0.0, mentions=0.0) as served:
        choice = choose(post(served, max_tokens=20))
        assert choice["message"]["content"] is None and choice["finish_reason"] == "length"


def test_second_block_is_taken_for_the_thought():
    """vLLM's parser looks for the first opening tag: what stands before it is lost."""
    with serve("vllm-qwq-parser", endless=0.0, mentions=0.0, second=1.0) as served:
        message = say(served)
        assert message["reasoning"] == "I need the time zone of Lyon."
        assert message["content"].startswith("\n<search>")


@pytest.mark.parametrize(
    ("name", "parser", "switch", "field"),
    [
        ("qwen3", "qwen3", {}, "reasoning"),
        ("qwen3", "deepseek_r1", {}, "reasoning"),
        ("vllm-qwq", "deepseek_r1", {}, "reasoning"),
        ("qwen3", "qwen3", {"chat_template_kwargs": {"enable_thinking": False}}, "content"),
        ("qwen3", "deepseek_r1", {"chat_template_kwargs": {"enable_thinking": False}}, "reasoning"),
        ("vllm-qwq", "deepseek_r1", {"chat_template_kwargs": {"enable_thinking": False}},
         "reasoning"),
        ("qwen3", "qwen3", {"reasoning_effort": "none"}, "content"),
        ("qwen3", "deepseek_r1", {"reasoning_effort": "none"}, "reasoning"),
        ("qwen3", "qwen3", {"chat_template_kwargs": {"thinking": False}}, "reasoning"),
        ("vllm-qwq", "deepseek_r1", {"include_reasoning": False}, None),
        ("qwen3", None, {}, "content"),
        ("vllm-qwen25", None, {}, "content"),
    ],
)  # fmt: skip
def test_where_a_continuation_lands(name, parser, switch, field):
    """The table of section 1.6."""
    messages = [*AS_USER, {"role": "assistant", "content": FORCED}]
    body = {"continue_final_message": True, "add_generation_prompt": False, **switch}
    with serve(name, parser=parser, babbles=0.0) as served:
        message = say(served, messages=messages, **body)
        wanted = {"content": None, "reasoning": None}
        if field:
            wanted[field] = f"{ANSWER}</answer>"
        assert {key: message[key] for key in wanted} == wanted
        assert served.ledger.prefills == 1


def test_echo_gives_the_prefill_back():
    messages = [*AS_USER, {"role": "assistant", "content": FORCED}]
    body = {"continue_final_message": True, "add_generation_prompt": False, "echo": True}
    with serve("vllm-qwq", parser="deepseek_r1", babbles=0.0) as served:
        message = say(served, messages=messages, **body)
        assert (message["content"], message["reasoning"]) == (FORCED, f"{ANSWER}</answer>")


@pytest.mark.parametrize(
    ("name", "path", "mark"),
    [
        ("openai", "/v1/chat/completions", {}),
        ("openrouter", "/v1/chat/completions", {}),
        ("deepseek", "/v1/chat/completions", {"prefix": True}),
        ("chatty", "/v1/chat/completions", {}),
        ("tgi", "/v1/chat/completions", {}),
    ],
)
def test_hosts_answer_a_new_message(name, path, mark):
    last = {"role": "assistant", "content": FORCED, **mark}
    with serve(name, deviates=0.0, babbles=0.0, second=1.0) as served:
        text = choose(post(served, path, messages=[*AS_USER, last]))["message"]["content"]
        assert text.startswith("<think>") and text.endswith(f"<answer>{ANSWER}</answer>")
        assert served.ledger.prefills == 0


@pytest.mark.parametrize(
    ("name", "path", "mark"),
    [
        ("deepseek", "/beta/chat/completions", {"prefix": True}),
        ("dashscope", "/v1/chat/completions", {"partial": True}),
        ("llamacpp", "/v1/chat/completions", {}),
    ],
)
def test_some_go_on_in_their_own_way(name, path, mark):
    last = {"role": "assistant", "content": FORCED, **mark}
    with serve(name, babbles=0.0) as served:
        message = choose(post(served, path, messages=[*AS_USER, last]))["message"]
        assert message["content"] == f"{ANSWER}</answer>"


def test_qwen3_leaves_an_empty_block_or_thinks_twice():
    with serve("qwen3") as served:
        assert say(served)["content"].startswith("<think>\n\n</think>\n\n<think>I need")
        plain = say(served, chat_template_kwargs={"enable_thinking": False})
        assert plain["content"].startswith("<think>I need")
    with serve("qwen3-thinking", second=1.0, mentions=0.0) as served:
        assert say(served)["content"].count("<think>") == 2


def test_deepseek_thinks_unless_told_not_to():
    with serve("deepseek", second=0.0) as served:
        reply = post(served)
        assert reply.content.startswith(b"\n\n")
        message, usage = choose(reply)["message"], reply.json()["usage"]
        assert message["reasoning_content"] and message["content"].startswith("<search>")
        spent = usage["completion_tokens_details"]["reasoning_tokens"]
        assert usage["prompt_cache_miss_tokens"] == usage["prompt_tokens"] and spent > 256
        short = choose(post(served, max_tokens=256))
        assert (short["message"]["content"], short["finish_reason"]) == ("", "length")
        plain = choose(post(served, max_tokens=256, thinking={"type": "disabled"}))["message"]
        assert "reasoning_content" not in plain and plain["content"].startswith("<think>")


def test_openrouter_says_reasoning():
    with serve("openrouter-thinking", every=0) as served:
        message = say(served)
        assert message["reasoning"] and message["reasoning_details"][0]["text"]
        assert say(served, reasoning={"enabled": False})["reasoning"] is None


# Section 1.4: grammars.


@pytest.mark.parametrize(
    ("name", "parser", "switch", "thinks", "field"),
    [
        ("vllm-qwq", None, {}, False, "content"),
        ("vllm-qwq", "deepseek_r1", {}, True, "content"),
        ("qwen3", "deepseek_r1", {"chat_template_kwargs": {"enable_thinking": False}}, False,
         "reasoning"),
        ("qwen3", "qwen3", {"chat_template_kwargs": {"enable_thinking": False}}, False, "content"),
    ],
)  # fmt: skip
def test_grammar_binds_where_the_parser_ends_the_thought(name, parser, switch, thinks, field):
    with serve(name, parser=parser, empty=False) as served:
        wanted = schema_format(TAG_SCHEMA)
        message = say(served, messages=[TAGGER, USER], response_format=wanted, **switch)
        assert set(json.loads(message[field])) == {"domain", "key_points"}
        other = "reasoning" if field == "content" else "content"
        assert bool(message[other]) == thinks


# Section 1.1 and 1.2: true chat templates.


@NEEDS_TEMPLATES
def test_qwen3_refuses_the_form_that_its_template_does_not_write():
    body = {"continue_final_message": True, "add_generation_prompt": False}
    with serve("qwen3") as served:
        last = {"role": "assistant", "content": grammar.FORCED_PREFIX}
        error = refuse(served, 400, messages=[*AS_USER, last], **body)["error"]
        assert "the final message does not appear in the chat" in error["message"]
    for name in ("vllm-qwen25", "vllm-qwq", "vllm-llama3"):
        with serve(name, babbles=0.0) as served:
            assert say(served, messages=[*AS_USER, last], **body)["content"].startswith(ANSWER)


@NEEDS_TEMPLATES
@pytest.mark.parametrize("prefill", [grammar.FORCED_PREFIX, FORCED])
def test_r1_takes_a_thought_to_go_on_with_behind_a_role_tool_only(prefill):
    """Its template drops the thought of every other turn, the last one too."""
    body = {"continue_final_message": True, "add_generation_prompt": False}
    last = {"role": "assistant", "content": prefill}
    with serve("vllm-r1", babbles=0.0) as served:
        error = refuse(served, 400, messages=[*AS_USER, last], **body)["error"]
        assert "does not appear in the chat" in error["message"]
    with serve("vllm-r1", babbles=0.0) as served:
        assert say(served, messages=[*TOOL, last], **body)["content"].startswith(ANSWER)
        bare = {"role": "assistant", "content": "<answer>"}
        assert say(served, messages=[*AS_USER, bare], **body)["content"].startswith(ANSWER)


@NEEDS_TEMPLATES
def test_r1_is_lost_behind_a_role_tool():
    with serve("vllm-r1") as served:
        assert "<answer>" not in say(served, messages=TOOL)["content"]
        assert served.ledger.deviations["lost"] == 1


@NEEDS_TEMPLATES
def test_llama_reads_a_role_tool_as_one_json_string():
    with serve("vllm-llama3", babbles=0.0) as served:
        assert ANSWER not in say(served, messages=TOOL)["content"]
        assert ANSWER in say(served, messages=AS_USER)["content"]


@NEEDS_TEMPLATES
def test_templates_render_what_the_reference_says():
    closed = "<think>a</think>\n<search>b</search>"
    chat = [USER, {"role": "assistant", "content": closed}]
    observed = {"role": "user", "content": "<information>\nx\n</information>"}
    wrapped = {"role": "user", "content": "<tool_response>\nx\n</tool_response>"}
    assert "You are Qwen, created by Alibaba Cloud" in render("Qwen2.5-7B-Instruct", [USER])
    assert render("QwQ-32B", [USER]).endswith("<|im_start|>assistant\n<think>\n")
    assert "<think>a" not in render("QwQ-32B", [*chat, wrapped])
    assert "<think>\na\n</think>\n\n<search>" in render("Qwen3", [*chat, wrapped])
    assert "<think>\na" not in render("Qwen3", [*chat, observed])
    silent = render("Qwen3", [USER], enable_thinking=False)
    assert silent.endswith("<think>\n\n</think>\n\n")
    tool = [*chat, {"role": "tool", "content": '<information>\n"x"\n</information>'}]
    assert '"<information>\\n\\"x\\"\\n</information>"' in render("Llama-3.1-8B-Instruct", tool)
    assert render("DeepSeek-R1-Distill-Qwen-32B", tool).endswith(NO_ROLE_AFTER_TOOL)
