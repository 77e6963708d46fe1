"""The laptop's own web: an engine with Serper's contract, pages as on the web, and traps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pypdfium2
import pytest
import trafilatura
import uvicorn
from starlette.testclient import TestClient

from searchtrain.config import Index
from searchtrain.core.errors import InputError
from searchtrain.demo import atlas, engine, web, world
from searchtrain.demo.draws import check_rates
from searchtrain.demo.server import Ledger
from searchtrain.search.bm25 import BM25Index
from searchtrain.search.index import build_index

QUIET = dict.fromkeys(web.RATES, 0.0)
FOREIGN = {
    "id": "x/y z",
    "contents": '"Łódź-Ærø"\nA city in Côte d\'Ivoire — north with 1,234 people. Time zone'
    " America/Port-au-Prince. The office of $5_x$ is <b>here</b>.",
}


@pytest.fixture(scope="module")
def places() -> list[dict[str, Any]]:
    rows = [passage.to_row() for passage in world.build_world(3).passages.values()]
    return [*rows, FOREIGN]


@pytest.fixture(scope="module")
def index(places: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> BM25Index:
    folder = tmp_path_factory.mktemp("web")
    corpus = folder / "corpus.jsonl"
    corpus.write_bytes(b"".join(orjson.dumps(place) + b"\n" for place in places))
    build_index(corpus, folder / "index", Index())
    return BM25Index(folder / "index", corpus)


def browse(index: BM25Index, rates: dict[str, float] | None = None, **more: Any) -> TestClient:
    app = web.make_app(index, {**QUIET, **(rates or {})}, more.pop("ledger", Ledger()), **more)
    return TestClient(app, base_url="http://atlas.test", follow_redirects=False)


@pytest.fixture
def client(index: BM25Index) -> Iterator[TestClient]:
    with browse(index) as client:
        yield client


def search(client: TestClient, query: str, **body: Any) -> dict[str, Any]:
    reply = client.post("/search", json={"q": query, **body}, headers={"X-API-KEY": "any"})
    assert reply.status_code == 200, reply.text
    return reply.json()


def list_queries(places: list[dict[str, Any]], count: int = 150) -> list[str]:
    return [f"city {place['contents'].split(chr(34))[1]}" for place in places[-count:-1]]


def read_text(client: TestClient, link: str) -> str:
    """A page as a reader of the web gets it; line ends are white space."""
    reply = client.get(link)
    assert reply.status_code == 200, link
    if reply.headers["content-type"] == "application/pdf":
        document = pypdfium2.PdfDocument(reply.content)
        text = document[0].get_textpage().get_text_range()
    else:
        text = trafilatura.extract(reply.text) or ""
    return " ".join(text.split())


def test_results_look_like_serpers(client: TestClient) -> None:
    found = search(client, "city Bilbao", num=7, gl="us", hl="en")
    assert found["searchParameters"] == {
        **{"q": "city Bilbao", "num": 7, "gl": "us", "hl": "en"},
        **{"type": "search", "page": 1},
    }
    assert found["credits"] == 1
    organic = found["organic"]
    assert [hit["position"] for hit in organic] == list(range(1, 8))
    assert len({hit["link"] for hit in organic}) == 7
    assert all(hit["link"].startswith("http://atlas.test/") for hit in organic)
    assert "http://atlas.test/place/x%2Fy%20z" in {
        hit["link"] for hit in search(client, "Łódź-Ærø")["organic"]
    }
    assert len(search(client, "city Bilbao")["organic"]) == 10


def test_the_named_place_comes_first_and_pages_follow_each_other(
    client: TestClient, places: list[dict[str, Any]]
) -> None:
    for query in list_queries(places, 60):
        first = search(client, query, num=5)["organic"]
        assert first[0]["title"] == query.removeprefix("city ")
        second = search(client, query, num=5, page=2)["organic"]
        assert [hit["position"] for hit in second] == [6, 7, 8, 9, 10]
        assert not {hit["link"] for hit in first} & {hit["link"] for hit in second}


def test_snippets_are_pieces_of_the_passage(
    client: TestClient, places: list[dict[str, Any]]
) -> None:
    texts = {place["contents"].split('"')[1]: place["contents"] for place in places}
    whole = cut = 0
    for query in list_queries(places):
        for hit in search(client, query)["organic"]:
            piece = hit["snippet"].removeprefix("... ").removesuffix(" ...")
            assert piece and piece in texts[hit["title"]]
            whole += piece == hit["snippet"]
            cut += piece != hit["snippet"]
    assert whole > 100 and cut > 100


def test_nothing_is_found_without_a_word_in_common(client: TestClient) -> None:
    found = search(client, "more information about it")
    assert found["organic"] == [] and "knowledgeGraph" not in found


def test_sites_can_be_excluded(client: TestClient) -> None:
    link = search(client, "city Bilbao")["organic"][0]["link"]
    less = search(client, f"city Bilbao -site:{link.removeprefix('http://')}")["organic"]
    assert len(less) == 10 and link not in {hit["link"] for hit in less}
    assert search(client, "-site:example.org city Bilbao")["organic"][0]["link"] == link
    none = search(client, "Bilbao -site:atlas.test")
    assert none["organic"] == [] and "knowledgeGraph" not in none


def test_a_title_alone_gets_a_knowledge_graph(client: TestClient) -> None:
    graph = search(client, "Spain")["knowledgeGraph"]
    assert graph["title"] == "Spain" and graph["type"] == "Country"
    assert graph["attributes"]["Capital"] == "Madrid"
    assert "knowledgeGraph" not in search(client, "country Spain")


def test_answer_boxes_come_at_their_rate(index: BM25Index, places: list[dict[str, Any]]) -> None:
    queries = list_queries(places)
    with browse(index, {"answer_box": 0.3}) as client:
        boxes = [search(client, query).get("answerBox") for query in queries]
    given = [(query, box) for query, box in zip(queries, boxes, strict=True) if box]
    assert 0.15 < len(given) / len(queries) < 0.45
    assert all(box["title"] in query and "people" in box["snippet"] for query, box in given)


def test_every_page_says_what_its_passage_says(
    client: TestClient, places: list[dict[str, Any]]
) -> None:
    firsts, shown = 0, places[::-4]  # the last one's name is foreign
    for place in shown:
        title, _, text = place["contents"].partition("\n")
        page = read_text(client, f"/place/{place['id'].replace('/', '%2F')}")
        assert text in page and page.startswith(title.strip('"'))
        assert "cookies" not in page and "Log in" not in page
        firsts += page.startswith(f"{title.strip(chr(34))} {text}")
    assert 0.1 < firsts / len(shown) < 0.4


def test_pdf_pages_hold_the_same_text_and_exist_as_pdf_only(
    index: BM25Index, places: list[dict[str, Any]]
) -> None:
    with browse(index, {"pdf": 1}) as client:
        for place in [*places[:6], places[-1]]:
            path = f"/place/{place['id'].replace('/', '%2F')}"
            title, _, text = place["contents"].partition("\n")
            page = read_text(client, f"{path}.pdf")
            assert text in page and page.startswith(title.strip('"'))
            assert client.get(path).status_code == 404
        first = search(client, "city Bilbao")["organic"][0]
        assert first["link"].endswith(".pdf") and "Bilbao" in read_text(client, first["link"])


def test_old_addresses_lead_to_the_page(index: BM25Index) -> None:
    with browse(index, {"moved": 1}) as client:
        hit = search(client, "city Bilbao")["organic"][0]
        assert hit["link"].startswith("http://atlas.test/moved/")
        moved = client.get(hit["link"])
        assert moved.status_code == 301
        assert "Bilbao" in read_text(client, moved.headers["location"])


def test_traps_come_at_their_rate_among_the_first_and_their_snippets_tell_all(
    index: BM25Index, places: list[dict[str, Any]]
) -> None:
    texts = {place["contents"].split('"')[1]: place["contents"] for place in places}
    queries = list_queries(places, 200)
    kinds, trapped = set(), 0
    with browse(index, {"traps": 0.4}) as client:
        for query in queries:
            hits = search(client, query)["organic"]
            traps = [hit for hit in hits if hit["link"].split("/")[3] in engine.TRAPS]
            assert len(traps) <= 1
            for hit in traps:
                assert hit["position"] <= 3
                assert texts[hit["title"]].endswith(f"\n{hit['snippet']}")
                kinds.add(hit["link"].split("/")[3])
            trapped += len(traps)
            again = search(client, f"{query} information")["organic"]
            assert again == hits
    assert 0.3 < trapped / len(queries) < 0.5
    assert kinds == set(engine.TRAPS)


def test_what_the_traps_do(client: TestClient) -> None:
    assert client.get("/missing/country-es").status_code == 404
    assert client.get("/place/nowhere").status_code == 404
    assert client.get("/no/such/thing").status_code == 404
    inside = client.get("/inside/country-es")
    assert inside.status_code == 302 and inside.headers["location"] == "http://10.0.0.1/"
    link = "http://atlas.test/loop/country-es"
    seen = []
    for _ in range(4):
        seen.append(link)
        link = client.get(link).headers["location"]
    assert link in seen
    robots = client.get("/robots.txt")
    assert "Disallow: /private/" in robots.text and robots.headers["content-type"].startswith(
        "text/plain"
    )
    assert "Madrid" in client.get("/private/country-es").text


@pytest.fixture
def served(index: BM25Index) -> Iterator[str]:
    """A real server in a thread: the test client would wait for whole bodies."""
    from threading import Thread

    config = uvicorn.Config(
        web.make_app(index, QUIET, Ledger()), port=0, log_level="error", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def test_a_large_page_does_not_say_how_large_it_is(served: str) -> None:
    size = 0
    with (
        httpx2.Client(trust_env=False) as http,
        http.stream("GET", f"{served}/large/country-es") as reply,
    ):
        assert "content-length" not in reply.headers
        for chunk in reply.iter_raw():
            size += len(chunk)
    assert size > atlas.LARGE_BYTES


def test_a_slow_page_begins_and_does_not_end(served: str) -> None:
    with (
        httpx2.Client(trust_env=False, timeout=0.3) as http,
        http.stream("GET", f"{served}/slow/country-es") as reply,
    ):
        assert reply.status_code == 200
        with pytest.raises(httpx2.ReadTimeout):
            list(reply.iter_raw())


@pytest.mark.parametrize(("kind", "status"), [("http_429", 429), ("http_500", 500)])
def test_a_failed_search_succeeds_when_it_is_tried_again(
    index: BM25Index, places: list[dict[str, Any]], kind: str, status: int
) -> None:
    queries = list_queries(places)
    with browse(index, {kind: 0.3}) as client:
        first = [client.post("/search", json={"q": query}).status_code for query in queries]
        again = [client.post("/search", json={"q": query}).status_code for query in queries]
    assert set(first) == {200, status} and set(again) == {200}
    assert 0.15 < first.count(status) / len(queries) < 0.45


def test_bad_requests_and_keys_are_refused_as_serper_does(index: BM25Index) -> None:
    with browse(index, api_key="secret") as client:
        assert client.post("/search", json={"q": "x"}).status_code == 403
        wrong = client.post("/search", json={"q": "x"}, headers={"X-API-KEY": "guess"})
        assert wrong.json() == {"message": "Unauthorized.", "statusCode": 403}
        key = {"X-API-KEY": "secret"}
        assert client.post("/search", json={"q": "x"}, headers=key).status_code == 200
        for body in (b"{", b"[]", b"{}", b'{"q": " "}', b'{"q": "x", "num": 1000}'):
            refused = client.post("/search", content=body, headers=key)
            assert refused.status_code == 400 and refused.json()["message"]


def test_answers_depend_on_the_request_alone(
    index: BM25Index, places: list[dict[str, Any]]
) -> None:
    rates = {"traps": 0.5, "pdf": 0.5, "moved": 0.5, "answer_box": 0.5}
    queries = list_queries(places, 40)
    with browse(index, rates) as one, browse(index, rates) as other:
        forward = {query: search(one, query) for query in queries}
        backward = {query: search(other, query) for query in reversed(queries)}
        assert forward == backward
        link = next(
            hit["link"]
            for found in forward.values()
            for hit in found["organic"]
            if hit["link"].endswith(".pdf")
        )
        assert one.get(link).content == other.get(link).content


def test_the_ledger_counts_every_request_and_survives_a_restart(
    index: BM25Index, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.txt"
    with browse(index, ledger=Ledger(path)) as client:
        search(client, "city Bilbao")
        client.get("/place/country-es")
        client.get("/place/country-es")
        client.get("/missing/country-es")
        client.get("/robots.txt")
        client.get("/health")
    assert len(path.read_text().splitlines()) == 5
    with browse(index, ledger=Ledger(path)) as client:
        stats = client.get("/stats").json()
        assert stats == {
            **{"answered": 5, "distinct": 4, "repeated": 1},
            "kinds": {"missing": 1, "place": 2, "robots.txt": 1, "search": 1},
        }


def test_rates_are_checked() -> None:
    assert check_rates({"traps": 1}, web.RATES, "web.rates")["traps"] == 1
    assert check_rates({}, web.RATES, "web.rates")["pdf"] == web.RATES["pdf"]
    with pytest.raises(InputError, match="unknown kind 'trap'"):
        check_rates({"trap": 0.1}, web.RATES, "web.rates")
    for rate in (1.5, -1, "often", True):
        with pytest.raises(InputError, match=r"web.rates.pdf: .* is not a share"):
            check_rates({"pdf": rate}, web.RATES, "web.rates")
