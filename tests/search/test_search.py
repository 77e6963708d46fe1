"""The index, the retriever and its client: the ranking, the wire, and every way it breaks."""

import asyncio
import json

import httpx2
import numpy as np
import pytest
from starlette.testclient import TestClient
from werkzeug import Response

from searchtrain.config import Index
from searchtrain.core.errors import InputError, SearchError
from searchtrain.search import bm25, manifest, server
from searchtrain.search.bm25 import BM25Index
from searchtrain.search.index import build_index
from searchtrain.search.retriever import RetrieverClient
from searchtrain.search.server import make_app
from searchtrain.search.text import make_analyser
from searchtrain.serving.supervisor import find_free_port

PASSAGES = [
    {"id": "lodz", "contents": '"Łódź"\nŁódź is a city in Poland.', "links": ["pl"]},
    {"id": "pl", "contents": '"Poland"\nPoland is a country. Its capital is Warsaw.'},
    {"id": "sao", "contents": '"São Tomé"\nSão Tomé is the capital of São Tomé and Príncipe.'},
    {"id": "twin-a", "contents": '"Springfield"\nSpringfield is a town.'},
    {"id": "twin-b", "contents": '"Springfield"\nSpringfield is a town.'},
    {"id": "twin-c", "contents": '"Springfield"\nSpringfield is a town.'},
    {"id": "tokyo", "contents": '"東京"\n東京は日本の首都。'},
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("search") / "corpus.jsonl"
    rows = [json.dumps(passage, ensure_ascii=False) + "\n" for passage in PASSAGES]
    path.write_text("".join(rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(corpus):
    build_index(corpus, corpus.parent / "index", Index())
    return corpus.parent / "index"


@pytest.fixture(scope="module")
def index(folder, corpus):
    return BM25Index(folder, corpus)


@pytest.fixture
def http(index):
    return TestClient(make_app(index))


def find(index, query, topk=3):
    return [PASSAGES[place]["id"] for place, _ in index.rank(query, topk)]


# The index.


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("Łódź", "lodz"),
        ("LODZ city", "lodz"),
        ("sao tome", "sao"),
        ("Sa\u0303o Tome\u0301", "sao"),
        ("日本", "tokyo"),
        ("capitals of Poland", "pl"),
    ],
)
def test_finds_names_however_they_are_spelt(index, query, first):
    assert find(index, query)[0] == first


def test_equal_scores_come_in_corpus_order(index):
    assert find(index, "Springfield", 2) == ["twin-a", "twin-b"]
    assert find(index, "Springfield", 9) == ["twin-a", "twin-b", "twin-c"]


def test_scores_fall_and_follow_the_formula(index):
    hits = index.rank("Springfield town", 9)
    # Lucene's BM25 by hand: two terms with df 3 of 7, each once or twice in 3 terms.
    lengths = [len(make_analyser("english_plus", "english").split(p["contents"])) for p in PASSAGES]
    norm = 0.9 * (0.6 + 0.4 * lengths[3] / np.mean(lengths))
    idf = np.log(1 + (7 - 3 + 0.5) / (3 + 0.5))
    assert hits[0][1] == pytest.approx(idf * (2 / (2 + norm) + 1 / (1 + norm)), rel=1e-5)
    mixed = [score for _, score in index.rank("capital Poland Springfield", 9)]
    assert mixed == sorted(mixed, reverse=True) and len(mixed) > 3


@pytest.mark.parametrize("query", ["", "the of", "zzzz", "?!"])
def test_a_query_that_matches_nothing_has_no_hits(index, query):
    assert index.rank(query, 3) == []


@pytest.mark.parametrize("query", ["Springfield", "capital Poland Springfield", "Łódź", "zzzz"])
@pytest.mark.parametrize("topk", [1, 2, 3, 7, 9])
def test_a_large_index_is_compiled_and_answers_the_same(
    folder, corpus, index, monkeypatch, query, topk
):
    plain = index.rank(query, topk)
    monkeypatch.setattr(bm25, "COMPILE_FROM", 0)
    compiled = BM25Index(folder, corpus)
    assert compiled._threads is not None
    assert compiled.rank_all([query, "town"], topk) == [plain, index.rank("town", topk)]


def test_stopwords_and_stemmer_can_be_left_out():
    assert make_analyser(None, None).split("The Cities") == ["the", "cities"]
    assert make_analyser(["Cities"], None).split("The Cities") == ["the"]
    assert make_analyser("english", "english").split("The Cities") == ["citi"]
    assert make_analyser("english", None).split("Who is she?") == ["who", "she"]
    assert make_analyser("english_plus", None).split("Who is she?") == []


def test_the_index_is_a_search_in_this_process(index):
    answers = asyncio.run(index.search(["Łódź", "zzzz"], 1))
    assert answers[1] == []
    assert answers[0][0].pop("score") > 0
    assert answers[0] == [PASSAGES[0]]


def test_a_second_build_is_the_same_and_replaces_the_first(corpus, tmp_path):
    out = tmp_path / "index"
    build_index(corpus, out, Index())
    first = {file.name: file.read_bytes() for file in out.iterdir()}
    (out / "left over").touch()
    build_index(corpus, out, Index())
    assert {file.name: file.read_bytes() for file in out.iterdir()} == first
    assert [file.name for file in tmp_path.iterdir()] == ["index"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "faiss"}, r"index\.engine: 'faiss' is not allowed; it must be bm25, dense or"),
        ({"method": "best"}, r"unknown key retriever\.index\.method; known here: b, engine"),
        ({"b": 1.5}, r"index\.b: 1.5 is not allowed; it must be a number from 0 to 1"),
        ({"k1": 0}, r"index\.k1: 0 is not allowed"),
        ({"stemmer": "klingon"}, r"index\.stemmer: 'klingon' is not known"),
        (
            {"stopwords": "klingon"},
            r"index\.stopwords: 'klingon' is not allowed; .* a list of text",
        ),
    ],
)
def test_refuses_a_bad_setting(corpus, tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        build_index(corpus, tmp_path / "index", Index.parse(settings, "retriever.index"))
    assert list(tmp_path.iterdir()) == []


def test_refuses_an_index_of_another_corpus_version_or_engine(
    folder, corpus, tmp_path, monkeypatch
):
    other = tmp_path / "corpus.jsonl"
    other.write_bytes(corpus.read_bytes() + b"\n")
    with pytest.raises(InputError, match=r"built from another corpus .* --forcerun index"):
        BM25Index(folder, other)
    with pytest.raises(InputError, match="needs the corpus it was built from"):
        BM25Index(folder, tmp_path / "none.jsonl")
    with pytest.raises(InputError, match=r"not an index \(manifest.json is missing\)"):
        BM25Index(tmp_path, corpus)
    monkeypatch.setattr(BM25Index, "VERSION", "9.9")
    with pytest.raises(InputError, match=r"built with version '0\.[\d.]+', this is '9.9'; rebuild"):
        BM25Index(folder, corpus)
    monkeypatch.setattr(BM25Index, "ENGINE", "other")
    with pytest.raises(InputError, match="built with engine 'bm25s', this is 'other'"):
        BM25Index(folder, corpus)


def test_a_corpus_that_was_not_touched_is_not_read_again(folder, corpus, tmp_path, monkeypatch):
    """13 GB take a minute; a copy, whose time is another, is compared by its bytes."""
    copied = tmp_path / "corpus.jsonl"
    copied.write_bytes(corpus.read_bytes())
    assert len(BM25Index(folder, copied)) == len(PASSAGES)
    monkeypatch.setattr(manifest, "hash_file", lambda path: "never the same")
    assert len(BM25Index(folder, corpus)) == len(PASSAGES)
    with pytest.raises(InputError, match="built from another corpus"):
        BM25Index(folder, copied)


# The server.


def test_answers_with_and_without_scores(http):
    body = {"queries": ["Łódź", "zzzz"], "topk": 1}
    scored = http.post("/retrieve", json={**body, "return_scores": True}).json()
    assert scored["result"][0][0]["document"] == PASSAGES[0]
    assert scored["result"][0][0]["score"] > 0
    assert scored["result"][1] == []
    assert http.post("/retrieve", json=body).json() == {"result": [[PASSAGES[0]], []]}


def test_a_large_index_answers_the_same_from_a_thread(http, monkeypatch):
    body = {"queries": ["Springfield", "Łódź"], "topk": 2}
    small = http.post("/retrieve", json=body).content
    monkeypatch.setattr(server, "THREAD_FROM", 0)
    assert http.post("/retrieve", json=body).content == small


@pytest.mark.parametrize("topk", [{}, {"topk": None}, {"topk": 0}])
def test_topk_is_three_unless_given(http, topk):
    answer = http.post("/retrieve", json={"queries": ["capital city town country"], **topk})
    assert len(answer.json()["result"][0]) == 3


def test_no_queries_have_no_results(http):
    assert http.post("/retrieve", json={"queries": []}).json() == {"result": []}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "must be an object"),
        ("{}", "queries must be a list of strings"),
        ('{"queries": "Paris"}', "queries must be a list of strings"),
        ('{"queries": ["Paris", 1]}', "queries must be a list of strings"),
        (
            '{"queries": ["Paris"], "topk": -1}',
            "topk must be null or an integer from 0 to 1000, got -1",
        ),
        (
            '{"queries": ["Paris"], "topk": "3"}',
            "topk must be null or an integer from 0 to 1000, got '3'",
        ),
        (
            '{"queries": ["Paris"], "topk": true}',
            "topk must be null or an integer from 0 to 1000, got True",
        ),
        ('{"queries": ["Paris"], "return_scores": 1}', "return_scores must be true or false"),
    ],
)
def test_a_bad_request_is_400_and_says_why(http, body, message):
    answer = http.post("/retrieve", content=body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_health_and_other_paths_answer_json(http):
    assert http.get("/health").json() == {"status": "ok", "passages": 7}
    assert http.get("/retrieve").status_code == 405
    assert http.get("/other").json() == {"error": "Not Found"}


# The client.


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
