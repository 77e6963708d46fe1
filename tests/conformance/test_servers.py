"""The imitations as a whole: they lead a rollout to its answer, cut, limit and note."""

import json
import re

import httpx
import pytest

from conformance.asking import (
    ANSWER,
    AS_USER,
    ASK,
    CALLED,
    CLIENT,
    FUNCTION,
    OBSERVATION,
    SEARCH,
    TAGGER,
    TURN,
    USER,
    choose,
    join,
    post,
    refuse,
    say,
    schema_format,
)
from conformance.dialogue import ENDED
from conformance.kinds import KINDS
from conformance.server import serve
from searchtrain.agent import grammar
from searchtrain.questions.tag_form import TAG_SCHEMA

# What every kind does.


@pytest.mark.parametrize("name", [name for name in KINDS if name != "openai-quota"])
def test_kind_leads_a_rollout_to_its_answer(name):
    """First turn, observation as user, answer; the thought wherever the kind has it."""
    stream = name == "dashscope-qwq"
    with serve(name, endless=0.0, deviates=0.0, every=0, mentions=0.0) as served:
        for messages, action in ((ASK, "<search>city Lyon"), (AS_USER, f"<answer>{ANSWER}")):
            reply = post(served, messages=messages, stream=stream or None)
            text = join(reply)["content"] if stream else choose(reply)["message"]["content"]
            assert action in text, text
        assert served.ledger.forms == {"user": 1}
        assert served.ledger.answers == served.ledger.requests == 2


@pytest.mark.parametrize("name", [name for name in KINDS if name != "openai-quota"])
def test_kind_answers_at_once_when_a_user_message_asks_for_it(name):
    messages = [*AS_USER[:-1], {"role": "user", "content": f"{OBSERVATION}\n\nAnswer now."}]
    stream = name == "dashscope-qwq"
    with serve(name, endless=0.0, deviates=0.0, every=0, mentions=0.0) as served:
        reply = post(served, messages=messages, stream=stream or None)
        text = join(reply)["content"] if stream else choose(reply)["message"]["content"]
        assert f"<answer>{ANSWER}</answer>" in text


@pytest.mark.parametrize("name", [name for name in KINDS if name != "openai-quota"])
def test_kind_tags_in_json_when_only_the_prompt_asks_for_it(name):
    stream = name == "dashscope-qwq"
    with serve(name, endless=0.0, deviates=0.0, every=0, empty_json=0.0) as served:
        reply = post(served, messages=[TAGGER, USER], stream=stream or None)
        text = join(reply)["content"] if stream else choose(reply)["message"]["content"]
        assert json.loads(text.rpartition("</think>")[2])["domain"] == "time zones"


def test_growing_message_is_read_as_its_turns():
    grown = {"role": "assistant", "content": f"{SEARCH}\n\n{OBSERVATION}\n\n"}
    with serve("vllm-qwen25", babbles=0.0) as served:
        continued = {"continue_final_message": True, "add_generation_prompt": False}
        message = say(served, messages=[*ASK, grown], **continued)
        assert message["content"].endswith(f"<answer>{ANSWER}</answer>")
        assert served.ledger.forms == {"assistant": 1} and served.ledger.prefills == 1


def test_native_calls_go_out_and_come_back():
    with serve("openai") as served:
        choice = choose(post(served, tools=[FUNCTION]))
        [call] = choice["message"]["tool_calls"]
        assert json.loads(call["function"]["arguments"]) == {"queries": ["city Lyon"]}
        assert choice["finish_reason"] == "tool_calls"
        result = {"role": "tool", "tool_call_id": call["id"], "content": OBSERVATION}
        told = {"role": "assistant", "content": None, "tool_calls": [call]}
        text = say(served, messages=[*ASK, told, result], tools=[FUNCTION])["content"]
        assert f"<answer>{ANSWER}</answer>" in text
        assert served.ledger.forms == {"tool_calls": 1}


def test_calls_without_results_are_refused():
    with serve("openai") as served:
        error = refuse(served, 400, messages=[*ASK, CALLED, USER])["error"]
        assert "tool_call_ids did not have response messages: c1" in error["message"]


# Rates.


def test_limited_says_when_to_come_again_and_notes_who_does_not_wait():
    with serve("openai-limited", every=2, retry_after=30) as served:
        assert post(served).status_code == 200
        reply = post(served)
        assert reply.status_code == 429
        assert reply.json()["error"]["code"] == "rate_limit_exceeded"
        assert reply.headers["retry-after"] == "30"
        for kind in ("limit", "remaining", "reset"):
            assert {f"x-ratelimit-{kind}-requests", f"x-ratelimit-{kind}-tokens"} <= set(
                reply.headers
            )
        assert post(served).status_code == 200
        assert served.ledger.early == 1


def test_burst_refuses_each_request_so_often():
    with serve("openai", burst=3, retry_after=0) as served:
        assert [post(served).status_code for _ in range(4)] == [429, 429, 429, 200]
        assert post(served, seed=2).status_code == 429


def test_quota_never_passes():
    with serve("openai-quota", quota=1) as served:
        assert post(served).status_code == 200
        for _ in range(2):
            reply = post(served)
            assert reply.status_code == 429
            assert reply.json()["error"]["code"] == "insufficient_quota"
            assert "retry-after" not in reply.headers


# Section 2.1: stop strings and limits.


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("openai", {}),
        ("vllm-qwen25", {"include_stop_str_in_output": True}),
        ("sglang", {"no_stop_trim": True}),
        ("tgi", {}),
        ("llamacpp", {}),
        ("chatty", {}),
    ],
)
def test_stop_strings(name, kept):
    with serve(name, babbles=1.0, deviates=0.0) as served:
        assert "<information>" in say(served)["content"]
        stopped = choose(post(served, stop=["</search>", "</answer>"]))
        assert stopped["message"]["content"].endswith("<search>city Lyon")
        if kept:
            text = say(served, stop=["</search>"], **kept)["content"]
            assert text.endswith("<search>city Lyon</search>")
        if name == "tgi":
            assert stopped["finish_reason"] == "stop_sequence"


def test_sglang_ignores_vllms_way_to_keep_the_stop_string():
    with serve("sglang") as served:
        text = say(served, stop=["</search>"], include_stop_str_in_output=True)["content"]
        assert text.endswith("<search>city Lyon")


def test_nostop_goes_on():
    with serve("chatty-nostop", babbles=1.0, deviates=0.0) as served:
        assert "<answer>Nowhere</answer>" in say(served, stop=["</search>"])["content"]


@pytest.mark.parametrize("name", ["openai", "vllm-qwen25", "chatty"])
def test_limit_cuts(name):
    with serve(name) as served:
        choice = choose(post(served, max_tokens=5))
        assert choice["finish_reason"] == "length" and len(choice["message"]["content"]) == 20


@pytest.mark.parametrize("name", ["vllm-qwen25", "sglang"])
def test_cards_name_the_context(name):
    with serve(name, context=5000) as served:
        card = CLIENT.get(f"{served.url}/models").json()["data"][0]
        assert (card["id"], card["max_model_len"]) == (served.model, 5000)
        assert "root" in card


# The chatty model.


def test_chatty_leaves_the_format_in_every_way_and_means_the_same():
    searches = grammar.render_turn("t", queries=["city Lyon"])
    with serve("chatty-nostop") as served:
        texts = [say(served, seed=seed)["content"] for seed in range(150)]
        texts += [say(served, seed=seed, messages=AS_USER)["content"] for seed in range(150)]
        seen = served.ledger.deviations
    assert set(seen) == {
        "prose", "fence", "named_tag", "two_actions", "text_after", "second_thought", "capitals",
        "bullets", "quotes", "numbers", "invented", "label", "bold", "sentence",
    }  # fmt: skip
    assert 100 <= sum(seen.values()) <= 200
    for text in texts[:150]:
        action = re.search(
            r"<search>(.*?)</search>", text.rpartition("</think>\n<s")[2] and text, re.I
        )
        assert action and "city Lyon" in action[1], text
    for text in texts[150:]:
        action = re.search(r"</think>\n<answer>(.*?)</answer>", text, re.I)
        assert action and ANSWER in action[1], text
    assert searches


def test_chatty_wraps_its_json():
    with serve("chatty") as served:
        wanted = schema_format(TAG_SCHEMA)
        texts = [
            say(served, seed=seed, messages=[TAGGER, USER], response_format=wanted)["content"]
            for seed in range(60)
        ]
        assert set(served.ledger.deviations) == {"prose", "fence", "prose_after", "extra_key"}
    for text in texts:
        assert '"domain": "time zones"' in text
    assert any(text.startswith("Here is the JSON {as") for text in texts)


def test_answers_depend_on_the_seed_and_on_nothing_else():
    with serve("chatty") as served:
        first = [say(served, seed=seed)["content"] for seed in range(10)]
        assert first == [say(served, seed=seed)["content"] for seed in range(10)]
        assert len(set(first)) > 1


def test_forced_by_the_notice_of_the_loop():
    """The laptop's own way to end the searches, as a role tool."""
    with serve("vllm-qwen25") as served:
        messages = [*ASK, TURN, {"role": "tool", "content": ENDED}]
        assert "<answer>" in say(served, messages=messages)["content"]


def test_ledger_counts_requests_in_flight():
    import asyncio

    async def ask_all(url, body):
        async with httpx.AsyncClient() as client:
            await asyncio.gather(
                *(
                    client.post(f"{url}/chat/completions", json={**body, "seed": n})
                    for n in range(8)
                )
            )

    with serve("openai") as served:
        asyncio.run(ask_all(served.url, {"model": served.model, "messages": ASK}))
        assert 2 <= served.ledger.peak <= 8 and served.ledger.in_flight == 0
        assert served.ledger.answers == 8
