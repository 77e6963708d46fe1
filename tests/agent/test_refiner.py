"""The refiner: passages in, fewer and shorter passages out, never a failure shown as text."""

import asyncio
import json

import pytest
from werkzeug import Response

from searchtrain.agent import refiner
from searchtrain.agent.refiner import Refiner, cut_passages, read_findings
from searchtrain.core.errors import ModelError, SearchTrainError
from searchtrain.models.client import ModelClient
from searchtrain.models.role import Role

PASSAGES = [
    {"id": "a", "contents": '"Oslo"\nOslo is in Norway. ' + "It has trams. " * 60, "score": 1.0},
    {"id": "b", "contents": '"Bergen"\nBergen is in Norway, too.', "score": 0.5},
]


def refine(httpserver, replies, passages=PASSAGES, calls=1, share=1.0, **settings):
    """Refine `calls` times against a model that says `replies` one after the other."""
    said = iter(replies)
    asked = []

    def speak(request):
        asked.append(request.get_json())
        reply = next(said)
        if isinstance(reply, int):
            return Response("broken", status=reply)
        text = reply if isinstance(reply, str) else json.dumps(reply)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}}
        return Response(
            json.dumps({
                "id": "1", "object": "chat.completion", "created": 0, "model": "m",
                "choices": [{**choice, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            }),
            content_type="application/json",
        )  # fmt: skip

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(speak)

    async def go():
        client = ModelClient(Role("refiner", "m", attempts=1), httpserver.url_for(""), None)
        refining = Refiner(
            client, "system", seed=1,
            **{"max_document_chars": 100, "max_failed_share": share, **settings},
        )  # fmt: skip
        try:
            return [
                await refining.refine("Where is Oslo?", f"Oslo {n}", passages, 500)
                for n in range(calls)
            ]
        finally:
            await client.close()

    return asyncio.run(go()), asked


def test_the_refiner_sees_question_query_and_numbered_documents(httpserver):
    reply = {"findings": [{"source": 1, "text": "Oslo is  in\nNorway."}]}
    (result,), asked = refine(httpserver, [reply])
    assert result.error is None
    assert result.passages == [{**PASSAGES[0], "contents": '"Oslo"\nOslo is in Norway.'}]
    body = asked[0]
    assert body["messages"][0] == {"role": "system", "content": "system"}
    shown = json.loads(body["messages"][1]["content"])
    assert shown["question"] == "Where is Oslo?" and shown["query"] == "Oslo 0"
    assert [doc["number"] for doc in shown["documents"]] == [1, 2]
    assert shown["documents"][1] == {
        "number": 2, "title": "Bergen", "text": "Bergen is in Norway, too.",
    }  # fmt: skip
    assert len(shown["documents"][0]["text"]) == 100
    assert body["response_format"]["json_schema"]["schema"] == refiner.FINDINGS_SCHEMA


def test_nothing_of_use_is_an_empty_result_and_nothing_found_asks_nobody(httpserver):
    (result,), asked = refine(httpserver, [{"findings": []}])
    assert result.passages == [] and result.error is None
    (result,), more = refine(httpserver, [], passages=[])
    assert result.passages == [] and result.error is None and more == [] and len(asked) == 1


def test_prose_is_repaired_once(httpserver):
    reply = {"findings": [{"source": 2, "text": "Bergen is in Norway."}]}
    (result,), asked = refine(httpserver, ["Oslo is in Norway, I think.", reply])
    assert [passage["id"] for passage in result.passages] == ["b"]
    assert len(asked) == 2 and "no JSON object" in asked[1]["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("replies", "kind"),
    [
        (["prose", "more prose"], "not_json"),
        ([{"findings": [{"source": 3, "text": "x"}]}] * 2, "schema"),
        ([{"facts": []}] * 2, "schema"),
        ([500], "http_500"),
    ],
)
def test_what_can_not_be_refined_is_shown_as_it_came_within_the_budget(httpserver, replies, kind):
    (result,), _ = refine(httpserver, replies)
    assert isinstance(result.error, ModelError) and result.error.kind == kind
    assert [passage["id"] for passage in result.passages] == ["a", "b"]
    texts = [passage["contents"] for passage in result.passages]
    assert texts[0].startswith('"Oslo"\nOslo is in Norway.') and texts[1] == PASSAGES[1]["contents"]
    assert sum(map(len, texts)) <= 500


def test_too_many_failures_end_the_stage(httpserver):
    with pytest.raises(SearchTrainError) as caught:
        refine(httpserver, [500] * 60, calls=60, share=0.1)
    assert "http_500 6" in str(caught.value) and "refine.max_failed_share" in str(caught.value)


def test_findings_of_one_source_are_one_passage():
    findings = [
        {"source": 2, "text": "One."}, {"source": 1, "text": " "}, {"source": 2, "text": "Two."},
    ]  # fmt: skip
    (passage,) = read_findings({"findings": findings}, PASSAGES)
    assert passage["contents"] == '"Bergen"\nOne. Two.'


def test_a_small_budget_shows_fewer_passages_rather_than_crumbs():
    many = [{"id": str(n), "contents": f'"T{n}"\n' + "word " * 200} for n in range(10)]
    cut = cut_passages(many, 650)
    assert [passage["id"] for passage in cut] == ["0", "1", "2"]
    assert all(150 < len(passage["contents"]) <= 216 for passage in cut)
