"""The model client against a real HTTP server: cache, retries, typed failures, repair."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.chat import chat
from searchtrain.core.errors import InputError, ModelError, ReplyError, ServiceError
from searchtrain.models.asker import Asker
from searchtrain.models.client import ModelClient
from searchtrain.models.reply import parse_object
from searchtrain.models.request import make_body, make_key
from searchtrain.models.request_cache import RequestCache
from searchtrain.models.role import Role

ROLE = Role("teacher", "m", sampling={"temperature": 0.5, "max_tokens": 9}, attempts=2, timeout=0.5)
ASK = [{"role": "user", "content": "Where is Oslo?"}]
TAG = {
    "type": "object",
    "properties": {"domain": {"type": "string"}},
    "required": ["domain"],
    "additionalProperties": False,
}


@pytest.fixture
def route(httpserver):
    return lambda: httpserver.expect_ordered_request("/v1/chat/completions", method="POST")


def ask(httpserver, *calls, role=ROLE, cache=None):
    """Run `calls` (functions of a client) one after the other on one client."""

    async def run():
        client = ModelClient(role, httpserver.url_for("").rstrip("/"), cache)
        try:
            return [await call(client) for call in calls], client.usage
        finally:
            await client.close()

    return asyncio.run(run())


def complete(**options):
    return lambda client: client.complete(ASK, seed=3, **options)


def ask_for_tag(client):
    return Asker(client, "Tag.", TAG, repairs=1).ask("Where is Oslo?", dict, seed=1)


def test_sends_role_and_reads_answer(httpserver, route):
    route().respond_with_json(chat("Norway"))
    [answer], usage = ask(httpserver, complete(stop=["</answer>"]))
    body = json.loads(httpserver.log[0][0].data)
    assert (answer.text, answer.finish_reason, answer.completion_tokens) == ("Norway", "stop", 2)
    assert body == {
        "model": "m", "seed": 3, "temperature": 0.5, "max_tokens": 9,
        "messages": ASK, "stop": ["</answer>"],
    }  # fmt: skip
    assert usage["requests"] == 1 and usage["prompt_tokens"] == 5


def test_vllm_dialect_keeps_the_stop_string_and_continues_a_message(httpserver, route):
    route().respond_with_json(chat("Norway</answer>"))
    role = Role("student", "m", dialect="vllm")
    ask(httpserver, complete(stop=["</answer>"], prefill="<answer>"), role=role)
    body = json.loads(httpserver.log[0][0].data)
    assert body["include_stop_str_in_output"] and body["continue_final_message"]
    assert not body["add_generation_prompt"]
    assert body["messages"][-1] == {"role": "assistant", "content": "<answer>"}


def test_prefill_needs_the_vllm_dialect(httpserver):
    with pytest.raises(InputError, match=r"models\.teacher.*dialect: vllm"):
        ask(httpserver, complete(prefill="<answer>"))


def test_the_same_request_is_paid_for_once(httpserver, route, tmp_path):
    route().respond_with_json(chat("Norway"))
    route().respond_with_json(chat("Sweden"))
    cache = RequestCache(tmp_path, "tag")
    other_seed = lambda client: client.complete(ASK, seed=4)  # noqa: E731
    answers, usage = ask(httpserver, complete(), complete(), other_seed, cache=cache)
    assert [answer.text for answer in answers] == ["Norway", "Norway", "Sweden"]
    assert [answer.cached for answer in answers] == [False, True, False]
    assert (usage["requests"], usage["cached"]) == (2, 1)


def test_the_key_names_the_revision_and_never_the_url(httpserver, route, tmp_path):
    route().respond_with_json(chat("old"))
    route().respond_with_json(chat("new"))
    cache = RequestCache(tmp_path, "tag")
    ask(httpserver, complete(), cache=cache)
    newer = Role("teacher", "m", revision="2", sampling=ROLE.sampling)
    [answer], _ = ask(httpserver, complete(), role=newer, cache=cache)
    assert answer.text == "new"

    async def elsewhere():
        return await ModelClient(ROLE, "http://127.0.0.1:9", cache).complete(ASK, seed=3)

    assert asyncio.run(elsewhere()).text == "old"


def test_a_failure_is_retried_and_never_cached(httpserver, route, tmp_path):
    for _ in range(2):
        route().respond_with_data("boom", status=500)
    route().respond_with_json(chat("Norway"))
    cache = RequestCache(tmp_path, "tag")
    with pytest.raises(ModelError, match=r"HTTP 500: .*\(2 attempts\)") as caught:
        ask(httpserver, complete(), cache=cache)
    assert caught.value.kind == "http_500" and httpserver.url_for("").rstrip("/") in str(
        caught.value
    )
    [answer], _ = ask(httpserver, complete(), cache=cache)
    assert answer.text == "Norway"


def test_a_passing_fault_is_retried(httpserver, route):
    route().respond_with_data("slow down", status=429)
    route().respond_with_json(chat("Norway"))
    [answer], usage = ask(httpserver, complete())
    assert answer.text == "Norway" and usage["retries"] == 1


@pytest.mark.parametrize(("status", "remedy"), [(401, "API key"), (403, "API key"), (404, "name")])
def test_a_refusal_ends_the_stage_at_once(httpserver, route, status, remedy):
    route().respond_with_json({"error": {"message": "no"}}, status=status)
    with pytest.raises(ServiceError, match=f"HTTP {status}.*{remedy}"):
        ask(httpserver, complete())
    assert len(httpserver.log) == 1


def test_a_server_that_hangs():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"

        async def run():
            await ModelClient(ROLE, url, None).complete(ASK, seed=1)

        with pytest.raises(ModelError, match=r"no answer within 0\.5 s") as caught:
            asyncio.run(run())
    assert caught.value.kind == "timeout"


def test_no_server():
    async def run():
        await ModelClient(ROLE, "http://127.0.0.1:9", None).complete(ASK, seed=1)

    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9.*check that the server is up") as caught:
        asyncio.run(run())
    assert caught.value.kind == "connection"


def test_a_conversation_that_is_too_long(httpserver, route):
    text = "This model's maximum context length is 1024 tokens"
    route().respond_with_json({"error": {"message": text}}, status=400)
    with pytest.raises(ModelError) as caught:
        ask(httpserver, complete())
    assert caught.value.kind == "context_length"


@pytest.mark.parametrize("body", [{"choices": []}, {"hello": 1}])
def test_something_else_than_a_completion(httpserver, route, body):
    route().respond_with_json(body)
    with pytest.raises(ModelError) as caught:
        ask(httpserver, complete())
    assert caught.value.kind == "contract"


def test_prose_where_json_was_asked_is_repaired_once(httpserver, route):
    route().respond_with_json(chat("Sure, it is about geography."))
    route().respond_with_json(chat('```json\n{"domain": "geography"}\n```'))
    [value], usage = ask(httpserver, ask_for_tag)
    assert value == {"domain": "geography"} and usage["repairs"] == 1
    sent = json.loads(httpserver.log[1][0].data)
    assert "no JSON object" in sent["messages"][-1]["content"]
    assert sent["response_format"]["json_schema"]["schema"] == TAG


def test_json_that_stays_wrong_is_a_typed_failure(httpserver, route):
    for _ in range(2):
        route().respond_with_json(chat('{"domain": 3}'))
    with pytest.raises(ModelError, match="domain is wrong") as caught:
        ask(httpserver, ask_for_tag)
    assert caught.value.kind == "schema"


def test_reasoning_before_the_object_is_ignored():
    assert parse_object('{"a": 1} no</think>\n{"domain": "x"}', TAG) == {"domain": "x"}


def test_a_missing_key_names_its_variable(monkeypatch):
    monkeypatch.delenv("TEACHER_KEY", raising=False)
    with pytest.raises(InputError, match="TEACHER_KEY is not set"):
        ModelClient(Role("teacher", "m", api_key_env="TEACHER_KEY"), "http://127.0.0.1:9", None)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"domain": "half a pair \\ud83d"}', "not_json"),
        ('{"domain": ' + "[" * 100_000 + "]" * 100_000 + "}", "schema"),
    ],
)
def test_json_that_is_no_text_or_too_deep_is_a_fault_of_the_model(text, kind):
    with pytest.raises(ModelError) as caught:
        parse_object(text, TAG)
    assert caught.value.kind == kind


def test_a_bad_answer_is_sent_back_as_often_as_the_asker_says(httpserver, route):
    for text in ("prose", '{"domain": 3}', '{"domain": "geography"}'):
        route().respond_with_json(chat(text))
    asker = lambda client: Asker(client, "Tag.", TAG, repairs=2)  # noqa: E731
    [value], usage = ask(httpserver, lambda client: asker(client).ask("Where?", dict, seed=1))
    assert value == {"domain": "geography"} and usage["repairs"] == 2
    said = [message["content"] for message in json.loads(httpserver.log[2][0].data)["messages"]]
    assert said[2] == "prose" and said[4] == '{"domain": 3}' and "domain is wrong" in said[5]


def test_without_repairs_the_first_fault_is_raised(httpserver, route):
    route().respond_with_json(chat("prose"))
    with pytest.raises(ReplyError) as caught:
        ask(httpserver, lambda client: Asker(client, "Tag.", TAG).ask("Where?", dict, seed=1))
    assert caught.value.kind == "not_json" and len(httpserver.log) == 1


def test_who_answered_is_kept_with_the_answer(httpserver, route, tmp_path):
    route().respond_with_json({**chat("Norway"), "model": "m-2026-08"})
    answers, _ = ask(httpserver, complete(), complete(), cache=RequestCache(tmp_path, "tag"))
    assert [(answer.model, answer.cached) for answer in answers] == [
        ("m-2026-08", False), ("m-2026-08", True),
    ]  # fmt: skip


def test_an_answer_of_another_model_is_refused_from_the_cache_too(httpserver, route, tmp_path):
    route().respond_with_json({**chat("Norway"), "model": "other"})
    cache = RequestCache(tmp_path, "tag")
    ask(httpserver, complete(), cache=cache)
    strict = replace(ROLE, only="hub/m")
    with pytest.raises(ServiceError, match=r"request cache: 'other' answered.*revision"):
        ask(httpserver, complete(), role=strict, cache=cache)
    assert len(httpserver.log) == 1


def test_an_answer_from_before_names_nobody_and_is_still_good(httpserver, tmp_path):
    cache = RequestCache(tmp_path, "tag")
    strict = replace(ROLE, only="hub/m")
    body = make_body(strict, ASK, 3)
    counts = {"prompt_tokens": 1, "completion_tokens": 1}
    cache.put(make_key(strict, body), {"text": "Norway", "finish_reason": "stop", **counts})
    [answer], _ = ask(httpserver, complete(), role=strict, cache=cache)
    assert (answer.text, answer.model, answer.cached) == ("Norway", "", True)


def test_a_model_is_asked_again_no_sooner_than_it_says(httpserver, route):
    route().respond_with_data("slow down", status=429, headers={"retry-after": "1"})
    route().respond_with_json(chat("Norway"))
    begun = time.monotonic()
    [answer], _ = ask(httpserver, complete())
    assert answer.text == "Norway" and time.monotonic() - begun >= 1


def test_only_the_http_client_needs_the_api_library():
    """Rollouts run in the environment of GRPO, and curation imports them, too."""
    program = "import sys; import searchtrain.agent.loop; sys.exit('openai' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "scripts")}
    assert subprocess.run([sys.executable, "-c", program], env=environment).returncode == 0
