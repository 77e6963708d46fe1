"""Web search against a Serper-like server and a web server, both real, on loopback."""

import asyncio
import json
import logging
import threading
from collections import Counter

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from searchtrain.config import Web
from searchtrain.core.errors import InputError, Interrupted, SearchError, ServiceError
from searchtrain.models.purchase import read_retry_after
from searchtrain.models.request_cache import RequestCache
from searchtrain.search.web import WebSearch, list_hits, strip_markup

KEY = "sk-very-secret-0815"
LOOPBACK = ["127.0.0.0/8"]
ENGINE = "/search"
ORGANIC = [
    {
        "title": "The <b>Alma</b> &amp; its towns",
        "link": "http://site.test/alma",
        "snippet": "the river Alma is 83 km long",
        "date": "Mar 3, 2021",
        "position": 1,
        "sitelinks": [{"title": "More", "link": "http://site.test/more"}],
        "attributes": {"Length": "83 km"},
    },
    {"title": "Gone", "link": "http://site.test/gone", "snippet": "a page of the past"},
    {"link": "http://other.test/alma"},
]
LONG_TEXT = "".join(f"<p>Line {n} is about sheep and grass.</p>" for n in range(400))
ALMA = f"""<html><head><title>Alma</title></head><body><nav>MENU</nav><article>{LONG_TEXT}
<p>It is known that the river Alma is 83 km long.</p>{LONG_TEXT}</article></body></html>"""


@pytest.fixture(scope="module")
def server():
    """The search engine (POST /search) and the web (GET) in one."""
    with HTTPServer(host="127.0.0.1", threaded=True) as web:
        yield web


@pytest.fixture
def web(server, monkeypatch):
    server.clear()
    server.no_handler_status_code = 404
    monkeypatch.setenv("SERPER_API_KEY", KEY)
    return server


@pytest.fixture
def run(web, tmp_path, extractors):
    """Run `work(search)` with a fresh WebSearch on the test's cache."""

    def run(work, *, endpoint="", pages=None, cache=True, **settings):
        async def go():
            names = {f"{name}.test": f"127.0.0.1:{web.port}" for name in ("site", "other", "evil")}
            stored = RequestCache(tmp_path / "web", "test")
            pages_section = {"allow_networks": LOOPBACK, "timeout": 5, **(pages or {})}
            search = WebSearch(
                f"http://127.0.0.1:{web.port}{endpoint}",
                Web.parse({"pages": pages_section, **settings}, "web"),
                stored,
                names,
                backoff=0.001,
                extractors=extractors,
            )
            try:
                return await work(search)
            finally:
                run.last = search
                await search.close()
                stored.close()

        return asyncio.run(go())

    return run


def ask(run, *queries, topk=5, exclude=(), hidden=(), **options):
    """Search; the passages of the queries, or the SearchError.

    `exclude` is the call's, `hidden` the config's.
    """

    async def work(search):
        try:
            return await search.search(queries or ["alma"], topk, exclude)
        except SearchError as error:
            return error

    found = run(work, exclude=list(hidden), benchmark_hosts=["bench.test"], **options)
    return found[0] if isinstance(found, list) and len(found) == 1 else found


def answer(web, *responses):
    """What the engine answers to one request after the other; the last one for ever."""
    left = list(responses)

    def serve(_request):
        body = left.pop(0) if len(left) > 1 else left[0]
        return body if isinstance(body, Response) else Response(json.dumps(body))

    web.expect_request(ENGINE, method="POST").respond_with_handler(serve)


def put(web, path, body=ALMA, **more):
    web.expect_request(path, method="GET").respond_with_data(body, content_type="text/html", **more)


def list_searches(web):
    return [json.loads(request.data) for request, _ in web.log if request.method == "POST"]


def list_gets(web):
    return [f"{request.host}{request.path}" for request, _ in web.log if request.method == "GET"]


# Hits and pages.


def test_a_hit_shows_the_best_passage_of_its_page_and_a_failed_page_its_snippet(web, run):
    answer(web, {"organic": ORGANIC})
    put(web, "/alma")
    alma, gone, bare = ask(run)
    assert alma["id"] == alma["url"] == "http://site.test/alma"
    title, text = alma["contents"].split("\n", 1)
    assert title == '"The Alma & its towns"'
    assert "It is known that the river Alma is 83 km long." in text
    assert 2500 < len(text) <= 3000
    assert "MENU" not in text
    assert (alma["kind"], alma["date"], alma["page_error"]) == ("organic", "Mar 3, 2021", "")
    assert alma["snippet"] == "the river Alma is 83 km long"
    assert gone["contents"] == '"Gone"\na page of the past'
    assert gone["page_error"] == "http_404"
    # Neither title nor snippet: the page's own title, and the passage for the query.
    assert bare["contents"].startswith('"Alma"\nLine')
    assert "river Alma" in bare["contents"]
    assert [hit["score"] for hit in (alma, gone, bare)] == [1, 1 / 2, 1 / 3]


def test_a_hit_with_neither_text_nor_snippet_is_dropped(web, run):
    rows = [{"title": "a", "link": "http://site.test/none"}, *ORGANIC[1:2], {"title": "no link"}]
    answer(web, {"organic": [*rows, rows[1], {"link": "javascript:alert(1)", "snippet": "x"}]})
    found = ask(run)
    assert [(hit["id"], hit["score"]) for hit in found] == [("http://site.test/gone", 1)]


def test_pages_are_left_alone_when_only_snippets_are_wanted(web, run):
    answer(web, {"organic": ORGANIC})
    found = ask(run, pages={"read": False})
    assert [hit["contents"].split("\n")[1] for hit in found] == [
        "the river Alma is 83 km long",
        "a page of the past",
    ]
    assert {hit["page_error"] for hit in found} == {""}
    assert list_gets(web) == []


def test_only_topk_pages_are_read(web, run):
    answer(web, {"organic": ORGANIC})
    put(web, "/alma")
    assert len(ask(run, topk=1)) == 1
    assert list_gets(web) == ["site.test/robots.txt", "site.test/alma"]


def test_answer_box_and_knowledge_graph_are_passages(web, run):
    response = {
        "answerBox": {"title": "Alma", "answer": "83 km", "snippet": "It is <b>83 km</b> long.",
                      "link": "http://site.test/box"},
        "knowledgeGraph": {"title": "Alma River", "type": "River", "description": "In Crimea.",
                           "descriptionLink": "http://other.test/wiki", "website": "http://a.test/",
                           "attributes": {"Length": "83 km", "Mouth": "Black Sea"}},
        "organic": ORGANIC[1:2],
    }  # fmt: skip
    answer(web, response)
    box, graph, organic = ask(run)
    assert box["contents"] == '"Alma"\n83 km\nIt is 83 km long.'
    assert (box["kind"], box["url"]) == ("answer_box", "http://site.test/box")
    assert graph["contents"] == ('"Alma River"\nRiver\nIn Crimea.\nLength: 83 km\nMouth: Black Sea')
    assert (graph["kind"], graph["url"]) == ("knowledge_graph", "http://other.test/wiki")
    assert organic["kind"] == "organic"
    assert [hit["id"] for hit in ask(run)][:2] == [box["id"], graph["id"]]
    assert len({box["id"], graph["id"], organic["id"]}) == 3
    assert ask(run, answer_box=False)[0]["kind"] == "knowledge_graph"
    plain = ask(run, answer_box=False, knowledge_graph=False)
    assert [hit["kind"] for hit in plain] == ["organic"]
    shown = ask(run, exclude=["site.test", "a.test"])
    assert shown == []


@pytest.mark.parametrize("response", [{}, {"organic": []}, {"organic": None, "credits": 1}])
def test_nothing_found_is_an_empty_list(web, run, response):
    answer(web, response)
    assert ask(run) == []
    assert len(ask(run, "one", "two")) == 2


def test_odd_rows_do_no_harm():
    rows = [{"link": 5}, {"link": "http://["}, {"link": "http://a.test/", "title": 7, "date": None}]
    odd = {"organic": rows, "answerBox": ["x"], "knowledgeGraph": {"attributes": [1]}}
    (hit,) = list_hits(odd, True, True)
    assert (hit.url, hit.title, hit.text, hit.date) == ("http://a.test/", "7", "", "")


def test_markup_is_taken_out_of_titles_and_snippets():
    assert (
        strip_markup("<b>Fish</b> &amp;  chips<br>a &lt;b&gt; c < d") == "Fish & chipsa <b> c < d"
    )
    assert strip_markup(None) == strip_markup({"a": 1}) == ""


# What is sent.


@pytest.mark.parametrize("endpoint", ["", "/", "/search"])
def test_the_request_is_serpers(web, run, endpoint):
    answer(web, {})
    ask(run, "alma river", endpoint=endpoint, country="de", language=None, results=7)
    (body,) = list_searches(web)
    assert body == {"q": "alma river", "num": 7, "gl": "de"}
    assert web.log[0][0].headers["X-API-KEY"] == KEY


def test_without_a_variable_no_key_is_sent_and_without_its_value_nothing_is(web, run, monkeypatch):
    answer(web, {})
    ask(run, api_key_env="")
    assert "X-API-KEY" not in web.log[0][0].headers
    monkeypatch.delenv("SERPER_API_KEY")
    with pytest.raises(InputError, match=r"SERPER_API_KEY is not set; export it"):
        ask(run)
    assert len(web.log) == 1


def test_the_key_is_in_no_cache_log_or_error(web, run, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    answer(
        web,
        Response(f"no: {KEY}", 500),
        {"organic": ORGANIC},
        Response(f"bad key {KEY}", 400),
    )
    put(web, "/alma")
    found = ask(run)
    failed = ask(run, "other")
    assert len(found) == 3
    assert "bad key ***" in str(failed)
    web.clear()
    answer(web, Response(f"who is {KEY}?", 403))
    with pytest.raises(ServiceError) as caught:
        ask(run, "third")
    stored = b"".join(path.read_bytes() for path in (tmp_path / "web").iterdir())
    assert b"site.test" in stored
    assert KEY.encode() not in stored
    for text in (caplog.text, str(found), str(failed), str(caught.value), str(run.last.report())):
        assert KEY not in text


# Failures.


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_ends_the_stage_after_one_request(web, run, status):
    answer(web, Response("Unauthorized.", status))

    async def work(search):
        for query in ("one", "two"):
            with pytest.raises(ServiceError) as caught:
                await search.search([query], 3)
        return str(caught.value)

    message = run(work)
    assert f"/search: HTTP {status}" in message
    assert "SERPER_API_KEY" in message
    assert len(web.log) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_passing_failures_are_retried(web, run, status):
    answer(web, Response("later", status), Response("later", status), {"organic": ORGANIC[1:2]})
    assert len(ask(run)) == 1
    assert len(list_searches(web)) == 3
    assert (run.last.usage["search_retries"], run.last.usage["searches"]) == (2, 1)


def test_retries_end_and_are_tried_again_in_the_next_run(web, run):
    answer(web, Response("broken", 500))
    error = ask(run, attempts=3)
    assert error.kind == "http_500"
    assert "HTTP 500 after 3 attempts: broken" in str(error)
    assert len(list_searches(web)) == 3
    web.clear()
    answer(web, {"organic": ORGANIC[1:2]})
    assert len(ask(run)) == 1


@pytest.mark.parametrize("status", [400, 402, 404, 422])
def test_a_rejected_request_is_not_retried(web, run, status):
    answer(web, Response('{"message": "Not enough credits"}', status))
    error = ask(run)
    assert error.kind == f"http_{status}"
    assert "Not enough credits" in str(error)
    assert len(web.log) == 1


@pytest.mark.parametrize(
    "body", ["<html>", "[]", '{"organic": {"a": 1}}', '{"organic": ["x"]}', ""]
)
def test_a_server_that_is_no_serper_is_told_apart(web, run, body):
    answer(web, Response(body))
    error = ask(run)
    assert error.kind == "contract"
    assert len(web.log) == 1


def test_no_answer_and_no_server_are_typed(web, run, tmp_path):
    done = threading.Event()
    web.expect_request("/hang").respond_with_handler(lambda _: done.wait() and Response("{}"))
    error = ask(run, endpoint="/hang", timeout=0.2, attempts=2)
    done.set()
    assert error.kind == "timeout"
    assert "2 attempts" in str(error)

    async def unreachable():
        search = WebSearch(
            "http://127.0.0.1:9", Web(attempts=2), RequestCache(tmp_path, "x"), {},
            backoff=0.001,
        )  # fmt: skip
        try:
            await search.search(["x"], 1)
        finally:
            await search.close()

    with pytest.raises(SearchError, match=r"no connection, 2 attempts .* check web\.endpoint") as e:
        asyncio.run(unreachable())
    assert e.value.kind == "connection"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", 0), ("", 0), ("-3", 0)],
)
def test_retry_after_is_read(header, seconds):
    assert read_retry_after(header) == seconds


# Exclusion.


def test_what_is_excluded_is_neither_shown_nor_fetched_whatever_the_engine_says(web, run):
    links = [
        "http://evil.test/a", "https://www.sub.evil.test/b", "http://bench.test/data",
        "http://site.test/wiki/Alma/more", "http://site.test/wiki/Almanac",
        "http://other.test/moved", "http://site.test/alma",
    ]  # fmt: skip
    answer(web, {"organic": [{"title": link, "link": link, "snippet": "s"} for link in links]})
    for path in ("/wiki/Almanac", "/alma", "/secret"):
        put(web, path)
    web.expect_request("/moved").respond_with_response(
        Response(status=302, headers={"Location": "http://evil.test/secret"})
    )
    exclude = ["https://www.site.test/wiki/Alma/", " "]
    found = ask(run, topk=4, exclude=exclude, hidden=["evil.test"])
    assert [hit["id"] for hit in found] == [
        "http://site.test/wiki/Almanac",
        "http://site.test/alma",
    ]
    assert [address.partition("/")[0] for address in list_gets(web)].count("evil.test") == 0
    assert "site.test/wiki/Alma/more" not in list_gets(web)
    (body,) = list_searches(web)
    assert body["q"] == "alma -site:evil.test -site:site.test/wiki/Alma"


def test_operators_leave_room_within_the_engines_limit(web, run):
    answer(web, {})
    ask(run, "alma river length", exclude=[f"host{number}.test" for number in range(99)])
    (body,) = list_searches(web)
    assert len(body["q"].split()) == 32


def test_a_bad_exclusion_in_the_config_is_named(web, run):
    with pytest.raises(InputError, match="'https://' cannot be excluded"):
        ask(run, hidden=["https://"])


# The cache.


def test_a_second_run_asks_for_nothing(web, run):
    answer(web, {"organic": ORGANIC})
    put(web, "/robots.txt", "User-agent: *\nDisallow: /gone")
    put(web, "/alma")
    first = ask(run, "alma", "river")
    usage = dict(run.last.usage)
    asked = len(web.log)
    assert asked == 2 + 2 + 2
    assert usage["searches"] == 2
    assert usage["pages"] == 2
    web.clear()
    assert ask(run, "alma", "river") == first
    assert web.log == []
    again = run.last.usage
    assert (again["searches"], again["search_cached"]) == (0, 2)
    assert (again["pages"], again["pages_cached"], again["page_failed_robots"]) == (0, 4, 2)
    # Neither where the engine is nor the key belongs to what was asked.
    assert ask(run, "alma", "river", endpoint="/elsewhere", api_key_env="", offline=True) == first


def test_what_was_asked_is_part_of_the_key(web, run):
    answer(web, {"organic": ORGANIC[1:2]})
    for options in (
        {},
        {"country": "de"},
        {"language": None},
        {"results": 20},
        {"exclude": ["a.b"]},
    ):
        ask(run, **options)
    assert len(list_searches(web)) == 5


def test_offline_a_miss_is_a_typed_failure(web, run, monkeypatch):
    answer(web, {"organic": ORGANIC[:1]})
    assert ask(run, pages={"read": False})[0]["page_error"] == ""
    asked = len(web.log)
    monkeypatch.delenv("SERPER_API_KEY")
    assert ask(run, offline=True)[0]["page_error"] == "offline"
    assert ask(run, "new", offline=True).kind == "offline"
    assert len(web.log) == asked


def test_the_same_query_at_the_same_time_is_one_request(web, run):
    answer(web, {"organic": ORGANIC[:1]})
    put(web, "/alma")

    async def work(search):
        return await asyncio.gather(*(search.search(["alma", "alma"], 3) for _ in range(10)))

    found = run(work)
    assert all(lists == found[0] for lists in found)
    assert len(list_searches(web)) == 1
    assert Counter(list_gets(web)) == {"site.test/robots.txt": 1, "site.test/alma": 1}


def test_after_stop_nothing_new_is_asked(web, run):
    answer(web, {"organic": ORGANIC[:1]})

    async def work(search):
        await search.search(["alma"], 3)
        search.stop()
        assert len((await search.search(["alma"], 3))[0]) == 1
        with pytest.raises(Interrupted):
            await search.search(["new"], 3)

    run(work)
    assert len(list_searches(web)) == 1


def test_report_and_cost(web, run):
    answer(web, {"organic": ORGANIC})
    put(web, "/alma")
    ask(run, "one", "two", price=2.5)
    search = run.last
    assert search.cost() == 0.005
    report = search.report()
    assert (report["searches"], report["dollars"], report["page_failed_http_404"]) == (2, 0.005, 2)
