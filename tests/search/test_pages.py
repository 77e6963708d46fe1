"""Page reading against a real web server: limits, guards, extraction, and what is remembered."""

import asyncio
import gzip
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from helpers.processes import wait_until
from searchtrain.config import Pages
from searchtrain.core.errors import InputError, Interrupted, PageError
from searchtrain.models.request_cache import RequestCache
from searchtrain.search import pages
from searchtrain.search.addresses import GuardedBackend, ipaddress
from searchtrain.search.exclusion import Exclusion
from searchtrain.search.extract import Extractors, extract_page
from searchtrain.search.pages import PageReader
from searchtrain.search.passages import choose_passage

LOOPBACK = ["127.0.0.0/8"]
ARTICLE = "".join(
    f"<p>Sentence {n} tells how the river Alma flows by town {n}.</p>" for n in range(9)
)
FRENCH = (
    "Genève est là où le Rhône quitte le lac Léman; à l'été, les bateaux déposent les élèves près"
    " du château. Où êtes-vous allés après le dîner, mes chères âmes? Au théâtre, évidemment."
)
RUSSIAN = (
    "Москва является столицей России и одним из крупнейших городов мира. Город стоит на реке,"
    " которая дала ему имя, и впервые упоминается в летописи двенадцатого века."
)
HTML = f"""<!doctype html><html><head><title>Alma &amp; co</title><style>p {{color: red}}</style>
<script>var spy = "SCRIPT";</script></head><body>
<nav><ul><li><a href="/a">NAVIGATION one</a></li><li><a href="/b">NAVIGATION two</a></li></ul></nav>
<article><h1>The Alma</h1>{ARTICLE}<table><tr><th>Length</th></tr><tr><td>83 km</td></tr></table>
</article><footer>FOOTER imprint</footer></body></html>"""


@pytest.fixture(scope="module")
def server():
    """A web server that can do several things at a time."""
    with HTTPServer(host="127.0.0.1", threaded=True) as site:
        yield site


@pytest.fixture
def site(server):
    """The server without any page; robots.txt is missing, too, unless a test has one."""
    start_over(server)
    server.done = threading.Event()
    yield server
    server.done.set()  # lets slow handlers go


@pytest.fixture
def cache(tmp_path):
    return RequestCache(tmp_path / "web", "test")


@pytest.fixture
def read(site, cache, extractors):
    """Read URLs (or paths of site.test) one after the other; pages and PageErrors in order."""

    def run(*urls, excluded=(), offline=False, usage=None, hosts=None, **settings):
        async def read_all():
            names = {f"{name}.test": f"127.0.0.1:{site.port}" for name in ("site", "other")}
            reader = PageReader(
                Pages(**{"allow_networks": LOOPBACK, "timeout": 5, **settings}),
                cache,
                hosts=names if hosts is None else hosts,
                offline=offline,
                usage=usage,
                extractors=extractors,
            )
            try:
                return [await read_one(reader, url) for url in urls]
            finally:
                await reader.close()

        async def read_one(reader, url):
            url = f"http://site.test{url}" if url.startswith("/") else url
            try:
                return await reader.read(url, Exclusion(excluded))
            except PageError as error:
                return error

        found = asyncio.run(read_all())
        return found[0] if len(found) == 1 else found

    return run


def start_over(site):
    site.clear()
    site.no_handler_status_code = 404


def put(site, path, body=HTML, content_type="text/html; charset=utf-8", **more):
    site.expect_request(path).respond_with_data(body, content_type=content_type, **more)


def redirect(site, path, to):
    site.expect_request(path).respond_with_response(Response(status=302, headers={"Location": to}))


def list_requests(site):
    return [request.path for request, _ in site.log]


def make_pdf(*lines):
    """A PDF with one line a page, written by hand; the last has no title of its own."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    kids = []
    for line in lines:
        stream = f"BT /F1 24 Tf 72 700 Td ({line}) Tj ET".encode()
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        kids.append(b"%d 0 R" % (len(objects) + 1))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources"
            b" << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
            % len(objects)
        )
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    out, places = io.BytesIO(), []
    out.write(b"%PDF-1.4\n")
    for number, content in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(
        b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start)
    )
    return out.getvalue()


# Text.


def test_html_becomes_title_and_main_text(site, read):
    put(site, "/a")
    page = read("/a#part")
    assert page.title == "Alma & co"
    assert "Sentence 8 tells" in page.text
    assert "83 km" in page.text
    for noise in ("NAVIGATION", "SCRIPT", "FOOTER", "color"):
        assert noise not in page.text
    assert (page.url, page.final_url, page.status) == (*["http://site.test/a"] * 2, 200)
    assert page.content_type == "text/html"
    assert abs(page.fetched - time.time()) < 60


def test_pdf_becomes_text_up_to_the_page_limit(site, read):
    pdf = make_pdf("The mill of Ebro", "was built in 1712", "and burnt in 1901")
    put(site, "/a.pdf", pdf, "application/pdf")
    put(site, "/b.pdf", pdf, "application/octet-stream")
    page, unnamed = read("/a.pdf", "/b.pdf", pdf_pages=2)
    assert page.title == "The mill of Ebro"
    assert "built in 1712" in page.text
    assert "1901" not in page.text
    assert (unnamed.content_type, unnamed.text) == ("application/pdf", page.text)


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (b"Gen\xe8ve und Z\xfcrich", "text/plain; charset=iso-8859-1", "Genève und Zürich"),
        ("Genève 東京".encode(), "text/plain; charset=iso-8859-1", "Genève 東京"),
        (b"The price is \x80 5 a day, quite cheap", "text/plain; charset=latin1", "is € 5 a day"),
        ("東京は日本の首都".encode("cp932"), "text/plain; charset=Shift_JIS", "東京は日本の首都"),
        (
            "<html><head><meta charset='windows-1251'></head><body><p>"
            "Москва — столица России</p></body></html>".encode("cp1251"),
            "text/html",
            "Москва — столица России",
        ),
        (RUSSIAN.encode("koi8-r"), "text/plain", RUSSIAN),
        (FRENCH.encode("cp1252"), "text/plain; charset=nonsense-8", FRENCH),
        ("Åre".encode("utf-16"), "text/plain", "Åre"),
        (b"<?xml version='1.0' encoding='utf-8'?><html><p>Short one.</p></html>",
         "application/xhtml+xml", "Short one."),
        (b"<p>Only a fragment.</p>", "text/html", "Only a fragment."),
        (b"a\x07b  c\r\n\r\n\r\nd", "text/plain", "ab c\n\nd"),
    ],
)  # fmt: skip
def test_any_charset_and_any_html_is_text(body, content_type, text):
    kind, _, rest = content_type.partition("; charset=")
    assert text in extract_page(body, kind, rest, 1)[1]


def test_stored_text_is_bounded(site, read):
    put(site, "/long", "word " * 400_000, "text/plain")
    assert len(read("/long").text) == 999_999  # cut at a million, in the space after a word


@pytest.mark.parametrize("body", ["", "   ", "<html><body><script>x()</script></body></html>"])
def test_a_page_without_text_is_empty(site, read, body):
    put(site, "/a", body)
    assert read("/a").kind == "empty"


def test_huge_html_is_read_in_time():
    filler = "".join(f"<p>Line {n} of a list that does not end.</p>" for n in range(60_000))
    page = f"<html><body><script>SCRIPT</script><article>{filler}</article></body></html>"
    text = extract_page(page.encode(), "text/html", "", 1)[1]
    assert len(page) > 2_000_000
    assert text.startswith("Line 0 of a list that does not end.")
    assert "SCRIPT" not in text


# Limits.


@pytest.mark.parametrize("status", [404, 410, 403, 500])
def test_an_error_page_is_no_content(site, read, status):
    put(site, "/a", "<p>Sorry, this page tells nothing.</p>", status=status)
    error = read("/a")
    assert (error.kind, error.passing) == (f"http_{status}", status == 500)


@pytest.mark.parametrize("length", [None, "30000000"])
def test_a_large_page_is_not_read_to_its_end(site, read, length):
    sent = Counter()

    def pour(_request):
        def chunks():
            while not site.done.is_set():
                sent["bytes"] += 65536
                yield b"x" * 65536

        headers = {"Content-Length": length} if length else {}
        return Response(chunks(), content_type="text/plain", headers=headers)

    site.expect_request("/a").respond_with_handler(pour)
    assert read("/a", max_bytes=200_000).kind == "too_large"
    assert sent["bytes"] < 30_000_000


def test_a_gzip_bomb_is_too_large_and_never_unpacked(site, read):
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 100_000
    put(site, "/bomb", bomb, headers={"Content-Encoding": "gzip"})
    put(site, "/fine", gzip.compress(HTML.encode()), headers={"Content-Encoding": "gzip"})
    put(site, "/broken", b"no gzip", headers={"Content-Encoding": "gzip"})
    put(site, "/other", b"???", headers={"Content-Encoding": "br"})
    bomb, fine, broken, other = read("/bomb", "/fine", "/broken", "/other", max_bytes=200_000)
    assert (bomb.kind, broken.kind, other.kind) == ("too_large", "unreadable", "unreadable")
    assert "Sentence 8" in fine.text


def test_a_slow_page_and_a_slow_drip_time_out(site, read):
    def drip(_request):
        def chunks():
            while not site.done.wait(0.05):
                yield b"a "

        return Response(chunks(), content_type="text/plain")

    def sleep(_request):
        site.done.wait()
        return Response("late")

    site.expect_request("/drip").respond_with_handler(drip)
    site.expect_request("/slow").respond_with_handler(sleep)
    for error in read("/slow", "/drip", timeout=0.4):
        assert (error.kind, error.passing) == ("timeout", True)


def test_redirects_are_followed_to_a_limit_and_never_in_circles(site, read):
    for number in range(4):
        redirect(site, f"/hop{number}", f"/hop{number + 1}")
    put(site, "/hop4")
    redirect(site, "/ping", "/pong")
    redirect(site, "/pong", "http://site.test:80/ping#again")
    redirect(site, "/self", "/self")
    for error in (read("/hop0", redirects=3), *read("/ping", "/self")):
        assert error.kind == "redirects"
    page = read("/hop0", redirects=4)
    assert page.final_url == "http://site.test/hop4"
    assert len(page.hops) == 5


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\x89PNG\r\n", "image/png"),
        (b"PK\x03\x04", "application/octet-stream"),
        (b"PK\x03\x04", ""),
        (b"{}", "application/json"),
    ],
)
def test_other_content_is_not_read(site, read, body, content_type):
    put(site, "/a", body, content_type)
    assert read("/a").kind == "content_type"


def test_binary_content_that_says_it_is_text_is_unreadable(site, read):
    put(site, "/a", bytes(range(256)) * 20, "text/plain")
    assert read("/a").kind == "unreadable"


def test_html_without_a_content_type_is_recognised(site, read):
    site.expect_request("/a").respond_with_handler(lambda _: strip_type(Response(HTML)))
    assert read("/a").content_type == "text/html"


def strip_type(response):
    del response.headers["Content-Type"]
    return response


@pytest.mark.parametrize(
    "url",
    [
        "ftp://site.test/a",
        "file:///etc/passwd",
        "http://u:secret@site.test/",
        "http://",
        "x",
    ],
)
def test_only_web_urls_without_passwords_are_read(site, read, url):
    error = read(url)
    assert error.kind == "url"
    assert "secret" not in str(error)
    assert site.log == []


def test_a_host_gets_no_more_requests_at_once_than_allowed(site, cache, extractors):
    busy, most = [], []

    def serve(request):
        busy.append(request)
        most.append(len(busy))
        time.sleep(0.05)
        busy.pop()
        return Response(HTML, content_type="text/html")

    for number in range(8):
        site.expect_request(f"/p{number}").respond_with_handler(serve)

    async def run():
        settings = Pages(allow_networks=LOOPBACK, per_host=2, hosts={})
        reader = PageReader(settings, cache, extractors=extractors)
        url = f"http://127.0.0.1:{site.port}"
        await asyncio.gather(*(reader.read(f"{url}/p{number}") for number in range(8)))
        await reader.close()

    asyncio.run(run())
    assert max(most) == 2


# Addresses.


@pytest.mark.parametrize(
    "target",
    [
        "http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[::1]/",
        "http://[::ffff:10.0.0.1]/", "http://[::ffff:a00:1]/", "http://[64:ff9b::10.0.0.1]/",
        "http://[2002:a00:1::]/", "http://0.0.0.0/", "http://2886729729/", "http://0xac100001/",
        "http://[fe80::1]/", "http://224.0.0.1/", "http://100.64.0.1/", "http://[fec0::1]/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("robots", [True, False])
def test_a_redirect_into_a_private_network_is_refused(site, read, target, robots):
    redirect(site, "/a", target)
    error = read("/a", robots=robots)
    assert (error.kind, error.passing) == ("private_address", False)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "[::1]"])
def test_a_name_of_this_machine_is_refused_unless_allowed(site, read, host):
    put(site, "/a")
    url = f"http://{host}:{site.port}/a"
    assert read(url, allow_networks=[]).kind == "private_address"
    assert site.log == []
    if host == "127.0.0.1":
        assert "Sentence" in read(url).text


def test_a_host_with_an_address_of_its_own_in_the_config_needs_no_allowed_network(site, read):
    put(site, "/a")
    redirect(site, "/b", f"http://127.0.0.1:{site.port}/a")
    page, error = read("/a", "/b", allow_networks=[])
    assert "Sentence" in page.text
    assert error.kind == "private_address"


def test_one_private_address_among_several_is_enough(monkeypatch):
    async def look_up(host, port):
        return [ipaddress.ip_address(text) for text in ("93.184.216.34", "10.0.0.1")]

    monkeypatch.setattr("searchtrain.search.addresses.look_up", look_up)
    with pytest.raises(PageError, match=r"rebound\.test leads to 10\.0\.0\.1") as caught:
        asyncio.run(GuardedBackend([], {}).connect_tcp("rebound.test", 80))
    assert caught.value.kind == "private_address"


def test_the_checked_address_is_the_one_that_is_connected_to(site, read, monkeypatch):
    """A name server that answers otherwise the second time (DNS rebinding) is not asked twice."""
    asked = []

    async def look_up(host, port):
        asked.append(host)
        return [ipaddress.ip_address("127.0.0.1" if len(asked) == 1 else "10.0.0.1")]

    monkeypatch.setattr("searchtrain.search.addresses.look_up", look_up)
    put(site, "/a")
    page = read(f"http://rebound.test:{site.port}/a", robots=False)
    assert "Sentence" in page.text
    assert asked == ["rebound.test"]
    assert site.log[0][0].headers["Host"] == f"rebound.test:{site.port}"


def test_a_proxy_of_the_environment_is_not_asked(site, read, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    put(site, "/a")
    assert "Sentence" in read("/a").text


def test_public_addresses_are_allowed():
    guard = GuardedBackend([], {})
    for text in ("93.184.216.34", "2606:4700::1111", "64:ff9b::5db8:d822", "2002:5db8:d822::1"):
        assert guard.allows(ipaddress.ip_address(text))


def test_a_bad_network_or_host_is_named():
    with pytest.raises(InputError, match=r"web\.pages\.allow_networks: 'x/8' is no network"):
        GuardedBackend(["x/8"], {})
    with pytest.raises(
        InputError, match=r"web\.pages\.hosts\.a\.test: 'b\.test:80' is not allowed"
    ):
        GuardedBackend([], {"a.test": "b.test:80"})


# robots.txt.


def test_robots_are_obeyed_for_every_hop_and_asked_for_once(site, read):
    rules = "User-agent: *\nDisallow: /private\n\nUser-agent: SearchTrain\nDisallow: /mine"
    put(site, "/robots.txt", rules, "text/plain")
    put(site, "/private")
    redirect(site, "/way", "/mine/a")
    for path in ("/mine/a", "/b"):
        put(site, path)
    allowed, mine, way, other = read("/private", "/mine/a", "/way", "/b")
    assert "Sentence" in allowed.text  # the group of its own name is the one that counts
    assert (mine.kind, mine.passing, way.kind) == ("robots", False, "robots")
    assert "Sentence" in other.text
    assert Counter(list_requests(site))["/robots.txt"] == 1
    assert "/mine/a" not in list_requests(site)
    assert "Sentence" in read("/mine/a", robots=False).text


@pytest.mark.parametrize("status", [404, 403, 401])
def test_a_site_without_robots_may_be_read(site, read, status):
    put(site, "/robots.txt", "no", status=status)
    put(site, "/a")
    assert "Sentence" in read("/a").text


@pytest.mark.parametrize("status", [500, 503])
def test_a_site_whose_robots_fail_may_not_be_read_for_now(site, read, status):
    put(site, "/robots.txt", "no", status=status)
    put(site, "/a")
    error, again = read("/a", "/a?b")
    assert (error.kind, error.passing, again.kind) == ("robots", True, "robots")
    assert list_requests(site) == ["/robots.txt"]


def test_an_endless_robots_txt_is_cut(site, read):
    put(site, "/robots.txt", "User-agent: *\nDisallow: /no\n" + "# x\n" * 300_000, "text/plain")
    put(site, "/a")
    refused, page = read("/no", "/a")
    assert refused.kind == "robots"
    assert "Sentence" in page.text


# What is remembered.


def test_a_second_reader_asks_for_nothing(site, cache, read):
    put(site, "/robots.txt", "User-agent: *\nDisallow: /private\n", "text/plain")
    put(site, "/a")
    put(site, "/big", "x" * 300_000, "text/plain")
    put(site, "/down", "no", status=503)
    put(site, "/none", "")
    redirect(site, "/circle", "/circle")
    urls = ["/a", "/private", "/gone", "/big", "/down", "/none", "/circle", "http://10.0.0.1/"]
    first = read(*urls, max_bytes=200_000)
    asked = len(site.log)
    assert asked == 7
    usage = Counter()
    again = read(*urls, max_bytes=200_000, usage=usage)
    assert len(site.log) == asked
    assert again[0] == first[0]
    assert [(error.kind, str(error)) for error in again[1:]] == [
        (error.kind, str(error)) for error in first[1:]
    ]
    assert (usage["pages"], usage["pages_cached"], usage["page_failures_cached"]) == (0, 1, 7)
    assert usage["page_failed_http_404"] == 1
    # Another limit is another question; what is known to be gone stays so.
    assert read("/big", max_bytes=400_000).text.startswith("xxx")


def test_only_passing_failures_are_asked_for_again(site, read, monkeypatch):
    put(site, "/down", "no", status=503)
    put(site, "/gone", "no", status=410)
    read("/down", "/gone", retry_after=2)
    start_over(site)
    put(site, "/down")
    put(site, "/gone")
    hour = 3600
    now = time.time()
    monkeypatch.setattr(pages.time, "time", lambda: now + 1.9 * hour)
    assert read("/down", retry_after=2).kind == "http_503"
    assert site.log == []
    monkeypatch.setattr(pages.time, "time", lambda: now + 2.1 * hour)
    recovered, gone = read("/down", "/gone", retry_after=2)
    assert "Sentence" in recovered.text
    assert gone.kind == "http_410"
    assert "Sentence" in read("/down").text
    assert Counter(list_requests(site))["/down"] == 1


def test_offline_only_the_cache_answers(site, read):
    put(site, "/a")
    put(site, "/down", "no", status=503)
    assert [read("/a").status, read("/down").kind] == [200, "http_503"]
    asked = len(site.log)
    page, down, missing = read("/a", "/down", "/b", offline=True, retry_after=0)
    assert "Sentence" in page.text
    assert (down.kind, missing.kind) == ("http_503", "offline")
    assert len(site.log) == asked


def test_a_failure_is_never_stored_as_content(site, read, tmp_path):
    put(site, "/a", "The words of an error page", status=500)
    read("/a")
    stored = b"".join(path.read_bytes() for path in (tmp_path / "web").iterdir())
    assert b"http_500" in stored
    assert b"words of an error page" not in stored


def test_concurrent_readers_share_one_request(site, cache, extractors):
    put(site, "/a")

    async def run():
        reader = PageReader(Pages(allow_networks=LOOPBACK, hosts={}), cache, extractors=extractors)
        url = f"http://127.0.0.1:{site.port}/a"
        found = await asyncio.gather(*(reader.read(url) for _ in range(20)))
        reader.stop()
        with pytest.raises(Interrupted):
            await reader.read(url + "?new")
        assert await reader.read(url) == found[0]
        await reader.close()

    asyncio.run(run())
    assert sorted(list_requests(site)) == ["/a", "/robots.txt"]


# Exclusion.


def test_neither_an_excluded_page_nor_a_redirect_to_one_is_fetched(site, read):
    put(site, "/a")
    redirect(site, "/way", "http://other.test/a")
    assert read("/a", excluded=["site.test"]).kind == "blocked"
    assert site.log == []
    assert read("/way", excluded=["other.test"]).kind == "blocked"
    assert [request.host for request, _ in site.log] == ["site.test"] * 2
    # For whom it is not excluded it is a page like others; then the cache knows where it led.
    assert read("/way").final_url == "http://other.test/a"
    assert read("/way", excluded=["other.test"]).kind == "blocked"


@pytest.mark.parametrize(
    ("entry", "url", "excluded"),
    [
        ("example.com", "https://example.com/a", True),
        ("example.com", "http://WWW.Example.COM:8080", True),
        ("https://www.example.com/", "http://a.b.example.com/c", True),
        ("example.com", "http://badexample.com/", False),
        ("a.example.com", "http://example.com/", False),
        ("bücher.example", "http://xn--bcher-kva.example/x", True),
        ("example.com/wiki/Ada", "https://www.example.com/wiki/Ada/", True),
        ("example.com/wiki/Ada", "https://example.com/wiki/Ada/born?x=1", True),
        ("example.com/wiki/Ada", "https://example.com/wiki/Adam", False),
        ("https://example.com/wiki/Ada", "https://example.com/wiki/x/../%41da#top", True),
        ("example.com/wiki/Ada", "https://sub.example.com/wiki/Ada", False),
        ("example.com/v?id=1", "https://example.com/v?id=1", True),
        ("example.com/v?id=1", "https://example.com/v?id=2", False),
        ("//example.com", "https://example.com./", True),
        ("8.8.8.8", "http://8.8.8.8/", True),
    ],
)
def test_exclusion_knows_hosts_subdomains_and_url_prefixes(entry, url, excluded):
    assert Exclusion([entry]).excludes(url) is excluded


@pytest.mark.parametrize("entry", ["", "https://", "a b"])
def test_an_exclusion_that_is_no_host_is_named(entry):
    with pytest.raises(InputError, match="cannot be excluded"):
        Exclusion([entry])


# Worker processes.


def test_a_hanging_or_dying_extraction_is_ended_and_hurts_no_other():
    async def run():
        pool = Extractors(2, time_limit=1.0)
        work = [
            pool.run("http://a/", time.sleep, 60),
            pool.run("http://b/", os._exit, 3),
            pool.run("http://c/", extract_page, HTML.encode(), "text/html", "", 1),
            pool.run("http://d/", extract_page, b"%PDF-1.4 broken", "application/pdf", "", 1),
            pool.run("http://e/", bytearray, 8 << 30),
        ]
        found = await asyncio.gather(*work, return_exceptions=True)
        begun = time.monotonic()
        pool.close()
        return found, time.monotonic() - begun

    (hung, died, text, broken, greedy), _ = asyncio.run(run())
    for error in (hung, died, broken, greedy):
        assert isinstance(error, PageError)
        assert error.kind == "unreadable"
    assert [error.passing for error in (hung, died, broken)] == [False, True, False]
    assert "no text after 1 s" in str(hung)
    assert "Sentence 8" in text[1]
    if sys.platform == "linux":
        assert "MemoryError" in str(greedy)


def test_workers_end_when_their_owner_is_killed(tmp_path):
    program = tmp_path / "owner.py"
    program.write_text(
        "import asyncio, os, time\n"
        "from searchtrain.search.extract import Extractors\n"
        "async def main():\n"
        "    pool = Extractors(1, time_limit=60)\n"
        "    print(await pool.run('a', os.getpid), flush=True)\n"
        "    await pool.run('b', time.sleep, 60)\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    scripts = Path(__file__).parents[2] / "scripts"
    owner = subprocess.Popen(
        [sys.executable, program],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(scripts)},
    )
    worker = int(owner.stdout.readline())
    os.kill(worker, 0)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    wait_until(lambda: not is_alive(worker))


def is_alive(pid):
    """Whether a process runs; one that waits to be reaped does not."""
    ended = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return ended.stdout.strip()[:1] not in ("", "Z")


# The passage.


def test_evidence_anywhere_in_a_long_page_is_found():
    filler = [f"On day {n} the weather of the valley was fair and dry." for n in range(20_000)]
    evidence = "Admiral Okonjo-Ruiz founded the observatory of Quillota in 1874."
    text = " ".join([*filler[:15_000], evidence, *filler[15_000:]])
    snippet = "… Okonjo-Ruiz <b>founded</b> the observatory of Quillota in 1874 ..."
    passage = choose_passage(text, snippet, "who founded it?", 1000)
    assert evidence in passage
    assert 700 <= len(passage) <= 1000
    assert passage in text
    assert passage.startswith("On day")
    assert passage.endswith("dry.")


def test_without_a_match_for_the_snippet_the_query_decides_and_then_the_beginning():
    filler = "Sheep graze on the hills of the north. " * 200
    text = filler + "The lighthouse keeper was Ingrid Solberg. " + filler
    query = "lighthouse keeper name"
    assert "Ingrid Solberg" in choose_passage(text, "", query, 500)
    assert "Ingrid Solberg" in choose_passage(text, "zygote quasar", query, 500)
    assert text.startswith(choose_passage(text, "zygote", "quasar", 500))


@pytest.mark.parametrize(
    ("filler", "evidence", "snippet"),
    [
        ("城市的天气很好人们在街上走路", "阿尔玛河全长八十三公里", "阿尔玛河 全长八十三公里"),
        ("lorem ipsum dolor sit amet ", "alma river length 83 km", "Alma river: length 83 km"),
        ("cell\tcell\tcell\n", "Alma\t83 km\tUkraine", "Alma 83 km Ukraine"),
        ("İİ hills. ", "Dr. A. Smith of the U.S. Army met Prof. Öz.", "dr a smith u.s. army öz"),
        ("x" * 5000 + " ", "the Alma is 83 km long", "Alma is 83 km long"),
    ],
)
def test_text_without_sentences_is_cut_as_well(filler, evidence, snippet):
    text = filler * 300 + evidence + " " + filler * 300
    passage = choose_passage(text, snippet, "", 400)
    assert evidence in passage
    assert len(passage) <= 400


def test_common_words_match_nothing():
    text = "It is one of the best of the year and it is in the top of the list. " * 300
    passage = choose_passage(text + "Zamora won.", "Zamora of the won", "", 200)
    assert "Zamora won." in passage


def test_a_short_text_is_shown_whole():
    assert choose_passage(" All of it. ", "x", "y", 100) == "All of it."


def test_settings_are_checked():
    with pytest.raises(InputError, match=r"web\.pages\.per_host: 0 is not allowed"):
        Pages.parse({"per_host": 0}, "web.pages")
