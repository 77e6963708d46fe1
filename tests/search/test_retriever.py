"""The retriever's client: batches, and every way in which a server breaks."""

import asyncio
import json

import httpx2
import pytest
from werkzeug import Response

from searchtrain.core.errors import SearchError
from searchtrain.search.retriever import RetrieverClient
from searchtrain.search.server import make_app
from searchtrain.serving.port import find_free_port


def run_client(url, *calls, **options):
    """Make all calls `(queries, topk)` at once; results and SearchErrors in order."""
    return asyncio.run(gather_calls(url, calls, {"backoff": 0.001, "attempts": 3, **options}))


async def gather_calls(url, calls, options):
    client = RetrieverClient(url, **options)
    found = await asyncio.gather(*(client.search(*call) for call in calls), return_exceptions=True)
    await client.close()
    return found


def echo(request):
    """A server that finds the query itself, and chokes on the query `poison`."""
    body = json.loads(request.data)
    assert body["return_scores"] is True
    if "poison" in body["queries"]:
        return Response('{"error": "cannot read poison"}', 400)
    hits = [[{"document": {"id": q, "contents": q}, "score": 1.0}] for q in body["queries"]]
    return Response(json.dumps({"result": hits}))


def count_requests(httpserver):
    return len(httpserver.log)


def test_concurrent_callers_share_requests_and_get_their_own(httpserver):
    httpserver.expect_request("/retrieve", method="POST").respond_with_handler(echo)
    calls = [([f"q{n}", f"q{n + 1}"], 3) for n in range(50)]
    found = run_client(httpserver.url_for("/"), *calls, concurrency=1, batch_size=64)
    assert [[hits[0]["id"] for hits in call] for call in found] == [call[0] for call in calls]
    assert count_requests(httpserver) == 1


def test_a_batch_is_never_larger_than_allowed(httpserver):
    httpserver.expect_request("/retrieve").respond_with_handler(echo)
    found = run_client(httpserver.url_for("/"), ([f"q{n}" for n in range(10)], 3), batch_size=4)
    assert [hits[0]["id"] for hits in found[0]] == [f"q{n}" for n in range(10)]
    sizes = [len(json.loads(request.data)["queries"]) for request, _ in httpserver.log]
    assert sorted(sizes) == [2, 4, 4]


def test_a_bad_query_does_not_fail_its_neighbours(httpserver):
    httpserver.expect_request("/retrieve").respond_with_handler(echo)
    good, bad = run_client(httpserver.url_for("/"), (["good"], 3), (["poison"], 3))
    assert good[0][0]["id"] == "good"
    assert isinstance(bad, SearchError) and bad.kind == "http_400"
    assert "cannot read poison" in str(bad) and "/retrieve" in str(bad)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_overload_and_failure_are_tried_again(httpserver, status):
    httpserver.expect_ordered_request("/retrieve").respond_with_data("busy", status=status)
    httpserver.expect_ordered_request("/retrieve").respond_with_handler(echo)
    found = run_client(httpserver.url_for("/"), (["q"], 3))
    assert found[0][0][0]["id"] == "q"


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (400, 1), (500, 3), (429, 3)])
def test_gives_up_with_the_status_as_kind(httpserver, status, requests):
    httpserver.expect_request("/retrieve").respond_with_data("no\nway", status=status)
    (error,) = run_client(httpserver.url_for("/"), (["q"], 3))
    assert isinstance(error, SearchError) and error.kind == f"http_{status}"
    assert f"answered {status}" in str(error) and "no way" in str(error)
    assert count_requests(httpserver) == requests


def test_no_server_is_a_connection_error():
    (error,) = run_client(f"http://127.0.0.1:{find_free_port()}", (["q"], 3))
    assert isinstance(error, SearchError) and error.kind == "connection"
    assert "3 times" in str(error) and "check that the retriever runs" in str(error)


def test_a_server_that_hangs_is_a_timeout():
    errors = asyncio.run(ask_hanging_server())
    assert isinstance(errors[0], SearchError) and errors[0].kind == "timeout"


async def ask_hanging_server():
    hanging = await asyncio.start_server(swallow, "127.0.0.1", 0)
    host, port = hanging.sockets[0].getsockname()
    found = await gather_calls(
        f"http://{host}:{port}", [(["q"], 3)], {"timeout": 0.05, "attempts": 2, "backoff": 0.001}
    )
    hanging.close()
    return found


async def swallow(reader, writer):
    """Read until the client gives up, answer nothing."""
    await reader.read()
    writer.close()


def test_accepts_what_servers_derived_from_search_r1_leave_out(httpserver):
    bare, unscored = {"contents": '"A"\na'}, {"document": {"id": 7, "contents": '"B"\nb'}}
    httpserver.expect_request("/retrieve").respond_with_json({"result": [[unscored, bare, bare]]})
    (found,) = run_client(httpserver.url_for("/retrieve"), (["q"], 2))
    assert [passage["contents"] for passage in found[0]] == ['"B"\nb', '"A"\na']
    assert found[0][0]["id"] == "7" and len(found[0][1]["id"]) == 16
    assert found[0][0]["score"] > found[0][1]["score"]


@pytest.mark.parametrize(
    "answer",
    [
        "<html>",
        "[]",
        '{"error": "busy"}',
        '{"result": []}',
        '{"result": [{}]}',
        '{"result": [["passage"]]}',
        '{"result": [[{"document": "text", "score": 1}]]}',
        '{"result": [[{"document": {"id": "1"}, "score": 1}]]}',
    ],
)
def test_an_answer_off_the_contract_is_an_error(httpserver, answer):
    httpserver.expect_request("/retrieve").respond_with_data(answer)
    (error,) = run_client(httpserver.url_for("/"), (["q"], 3))
    assert isinstance(error, SearchError) and error.kind == "contract"
    assert "point the retriever's endpoint at" in str(error)
    assert count_requests(httpserver) == 1


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(httpserver, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    httpserver.expect_request("/retrieve").respond_with_handler(echo)
    found = run_client(httpserver.url_for("/"), (["q"], 3))
    assert found[0][0][0]["id"] == "q"


def test_client_and_server_agree(index):
    """The client over the real application, without a socket between them."""
    found = asyncio.run(ask_application(make_app(index)))
    assert [passage["id"] for passage in found[0]] == ["twin-a", "twin-b"]
    assert found[1] == []


async def ask_application(app):
    client = RetrieverClient("http://127.0.0.1:1")
    await client._http.aclose()
    client._http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app))
    found = await client.search(["Springfield", "zzzz"], 2)
    await client.close()
    return found
