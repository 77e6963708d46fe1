"""The plain baseline against a real server: one search, one request, and the answer in whatever the
model writes."""

import asyncio
import json

import pytest
from werkzeug import Response

from helpers.chat import chat
from helpers.library import OSLO, TASK, Library
from searchtrain.agent import loop
from searchtrain.agent.retrieve_read import read_once
from searchtrain.config import Limits
from searchtrain.core.errors import SearchTrainError
from searchtrain.data import schemas
from searchtrain.models.client import ModelClient
from searchtrain.models.role import Role


def read(httpserver, text, *, library=None, finish="stop", **limits):
    """Answer `TASK`; returns the row, its failure and the messages that were sent."""
    sent = []

    def speak(request):
        sent.append(request.json["messages"])
        return Response(
            json.dumps(chat(text, finish_reason=finish)), content_type="application/json"
        )

    httpserver.clear()
    httpserver.expect_request("/v1/chat/completions").respond_with_handler(speak)

    async def go():
        role = Role("student", "m", attempts=1, revision="r1")
        client = ModelClient(role, httpserver.url_for("").rstrip("/"), None)
        harness = loop.Harness("Read.", "digest", Limits(**{"topk": 3, **limits}))
        policy = loop.Policy(client, harness, read_once)
        try:
            frame = await loop.run_rollouts([TASK], policy, library or Library(), 0.0, "limit")
        finally:
            await client.close()
        return frame

    frame = asyncio.run(go())
    schemas.validate_table(frame, schemas.Trajectories, "row")
    return frame.row(0, named=True), sent


def test_one_search_for_the_question_and_one_request(httpserver):
    library = Library()
    row, sent = read(httpserver, "Norway", library=library)
    assert library.asked == [([TASK.question], 3)]
    ((system, user),) = sent
    assert system == {"role": "system", "content": "Read."}
    assert "Oslo is a city in Norway." in user["content"] and "<" not in user["content"]
    assert user["content"].endswith(f"\n\nQuestion: {TASK.question}\nAnswer:")
    assert (row["answer"], row["stop_reason"], row["error"]) == ("Norway", "answered", "")
    assert (row["turns"], row["searches"], row["queries"]) == (1, 1, [[TASK.question]])
    assert row["retrieved_ids"] == row["sources"] == [[OSLO["id"]]]
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
    assert row["lineage"]["prompt"] == "digest"


def test_passages_are_cut_and_the_question_is_not(httpserver):
    long = {**OSLO, "contents": '"Oslo"\n' + "word " * 500}

    class Long(Library):
        async def search(self, queries, topk, exclude=()):
            return [[long] for _ in queries]

    _, ((_, user),) = read(httpserver, "Norway", library=Long(), max_observation_chars=200)
    assert len(user["content"]) < 300 and TASK.question in user["content"]


def test_no_answer_and_a_failed_search_are_rows(httpserver):
    row, _ = read(httpserver, "<think>I wonder", finish="length")
    assert (row["answer"], row["stop_reason"]) == ("", "token_limit")
    row, _ = read(httpserver, "  ")
    assert (row["answer"], row["stop_reason"]) == ("", "invalid_turn")
    with pytest.raises(SearchTrainError, match="connection 1"):
        read(httpserver, "Norway", library=Library(fails=True))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" Norway \n", "Norway"),
        ("<think>Oslo?</think>\n\nNorway", "Norway"),
        ("I think.\n</think>\n<answer>\nNorway\n</answer>", "Norway"),
        ("The answer is **Norway**", "Norway"),
        ("Answering Service", "Answering Service"),
    ],
)
def test_the_answer_is_read_out_of_what_a_model_wrote(httpserver, text, answer):
    row, _ = read(httpserver, text)
    assert (row["answer"], row["stop_reason"]) == (answer, "answered")
    assert row["messages"][-1]["content"] == text
