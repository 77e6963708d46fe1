"""Reads web pages: limits on everything, robots.txt obeyed, each page fetched once.

Invariant: a caller gets the text of a page or a PageError, and a failure is never kept or shown as
text. Content and failures lie in the request cache under keys of their own: content and lasting
failures for good, passing ones (timeout, connection, 429, 5xx) for some hours.
"""

import asyncio
import re
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import httpcore2
import httpx2
from protego import Protego

from searchtrain import config
from searchtrain.core.errors import Interrupted, PageError
from searchtrain.core.files import digest
from searchtrain.core.single_flight import SingleFlight
from searchtrain.models.purchase import Slots
from searchtrain.models.request_cache import RequestCache
from searchtrain.search.addresses import GuardedBackend
from searchtrain.search.exclusion import HOST, NOTHING, Exclusion
from searchtrain.search.extract import HTML, PDF, VERSION, Extractors, extract_page
from searchtrain.search.retry import is_passing_status

REDIRECTS = {301, 302, 303, 307, 308}
ROBOTS_BYTES = 500 * 1024
"""RFC 9309, 2.5: at least so much of a robots.txt counts."""
ROBOTS_REDIRECTS = 5
"""RFC 9309, 2.3.1.2."""
ROBOTS_AGE_H = 24
"""RFC 9309, 2.4: a stored robots.txt is asked for again after so many hours."""
SNIFFED = ("", "application/octet-stream", "binary/octet-stream")
"""Content types that say nothing: the first bytes decide."""
HTML_TAG = re.compile(rb"<(!doctype\s+html|html)\b", re.IGNORECASE)
SNIFFED_BYTES = 1024
CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
LIMITS = {"max_bytes", "redirects", "content_types", "robots", "allow_networks", "pdf_pages"}
"""Settings that decide whether a page can be read."""
KEPT_IDLE = 32
"""Connections that wait for another page of the same site."""
KEPT_IDLE_S = 3.0
"""Shorter than servers wait (Apache: 5 s), so that they do not hang up just then."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page as it was when it was fetched."""

    url: str
    final_url: str
    title: str
    text: str
    """Main text, at most `extract.TEXT_CHARS` characters."""
    content_type: str
    status: int
    fetched: float
    """Seconds since the epoch."""
    hops: tuple[str, ...]
    """Every URL on the way, the first and the final one included."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the web; a redirect's body is not read."""

    status: int
    location: str = ""
    content_type: str = ""
    charset: str = ""
    body: bytes = b""


class PageReader:
    """Reads pages for any number of concurrent callers on one event loop.

    `usage` counts `pages` (fetched and read), `pages_cached`, `robots` (fetched) and
    `page_failed_<kind>`, of which `page_failures_cached` cost no request. No proxy of the
    environment is used: it would undo the check of addresses.
    """

    def __init__(
        self,
        settings: config.Pages,
        cache: RequestCache,
        *,
        hosts: Mapping[str, str] | None = None,
        offline: bool = False,
        usage: Counter[str] | None = None,
        extractors: Extractors | None = None,
    ) -> None:
        """`hosts` stands in for `settings.hosts`. `extractors`, if given, stay the caller's."""
        self.settings = settings
        self.usage: Counter[str] = Counter() if usage is None else usage
        self._cache = cache
        self._offline = offline
        self._owns_extractors = extractors is None
        self._extractors = extractors or Extractors(settings.workers)
        # Not a Purchaser: failures are kept, too, and who shares a request depends on exclusions.
        self._flights: SingleFlight[Page] = SingleFlight()
        self._robots: dict[str, Protego | PageError | None] = {}
        self._robots_flights: SingleFlight[Protego | PageError | None] = SingleFlight()
        self._slots = Slots(settings.concurrency)
        self._host_slots: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(settings.per_host)
        )
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpx2.create_ssl_context(),
            max_connections=None,
            max_keepalive_connections=KEPT_IDLE,
            keepalive_expiry=KEPT_IDLE_S,
            network_backend=GuardedBackend(
                settings.allow_networks, settings.hosts if hosts is None else hosts
            ),
        )

    async def read(self, url: str, excluded: Exclusion = NOTHING) -> Page:
        """Read a page, from the cache if it holds it; raises PageError.

        Nothing that is `excluded` is asked for, nor is what it redirects to.
        """
        try:
            return await self._read(url, excluded)
        except PageError as error:
            self.usage[f"page_failed_{error.kind}"] += 1
            raise

    def stop(self) -> None:
        """Begin no further request; those in flight still finish and are cached."""
        self._slots.close(Interrupted())

    async def close(self) -> None:
        """Close the connections and end the worker processes."""
        await self._pool.aclose()
        if self._owns_extractors:
            await asyncio.to_thread(self._extractors.close)

    async def _read(self, url: str, excluded: Exclusion) -> Page:
        address = parse_address(url)
        check_excluded(address, excluded)
        page = self._recall(address, excluded)
        if page is not None:
            self.usage["pages_cached"] += 1
            return page
        if self._offline:
            raise PageError(
                f"{address}: not in the cache; set web.offline to false to fetch it", "offline"
            )
        key = digest([address, excluded.entries])
        return await self._flights.join(key, lambda: self._buy(address, excluded))

    def _recall(self, address: str, excluded: Exclusion) -> Page | None:
        """The page from the cache; a failure that still holds is raised."""
        stored = self._cache.get(self._page_key(address))
        if stored is not None:
            page = Page(**{**stored, "hops": tuple(stored["hops"])})
            for hop in page.hops:
                check_excluded(hop, excluded)
            return page
        failure = self._recall_failure(self._failure_key(address))
        # Whether a redirect leads to something excluded depends on who asks.
        if isinstance(failure, _Excluded) and not excluded.excludes(failure.hop):
            failure = None
        if failure is not None:
            self.usage["page_failures_cached"] += 1
            raise failure
        return None

    def _recall_failure(self, key: str) -> PageError | None:
        stored = self._cache.get(key)
        if stored is not None and stored["passing"] and not self._offline:
            stored = self._cache.get(key, since=time.time() - 3600 * self.settings.retry_after)
        if stored is None or stored["hop"]:
            return stored and _Excluded(stored["hop"])
        return PageError(stored["message"], stored["kind"], passing=stored["passing"])

    def _page_key(self, address: str) -> str:
        return digest(
            {"page": address, "extraction": VERSION, "pdf_pages": self.settings.pdf_pages}
        )

    def _failure_key(self, address: str) -> str:
        """A failure holds for the limits under which it came about."""
        return digest({"page failure": address, **self.settings.model_dump(include=LIMITS)})

    async def _buy(self, address: str, excluded: Exclusion) -> Page:
        """Fetch a page and commit what came of it to the cache."""
        self._slots.check()
        try:
            page = await self._fetch(address, excluded)
        except PageError as error:
            self._keep_failure(self._failure_key(address), error)
            raise
        self._cache.put(self._page_key(address), asdict(page), replace=True)
        self.usage["pages"] += 1
        return page

    def _keep_failure(self, key: str, error: PageError) -> None:
        hop = error.hop if isinstance(error, _Excluded) else ""
        failure = {"kind": error.kind, "message": str(error), "passing": error.passing, "hop": hop}
        self._cache.put(key, failure, replace=True)

    async def _fetch(self, address: str, excluded: Exclusion) -> Page:
        """Follow redirects to a page and extract its text."""
        hops = [address]
        left = self.settings.timeout
        loop = asyncio.get_running_loop()
        while True:
            here = hops[-1]
            await self._check_robots(here)
            async with self._host_slots[httpx2.URL(here).host], self._slots.take():
                begun = loop.time()
                answer = await self._get(here, left)
                left -= loop.time() - begun
                if answer.status not in REDIRECTS or not answer.location:
                    return await self._extract(hops, answer)
            hops.append(follow(hops, answer.location, self.settings.redirects))
            check_excluded(hops[-1], excluded)

    async def _extract(self, hops: list[str], answer: Answer) -> Page:
        here = hops[-1]
        if not 200 <= answer.status < 300:
            raise PageError(
                f"{here}: answered {answer.status}",
                f"http_{answer.status}",
                passing=is_passing_status(answer.status),
            )
        if not answer.body.strip():
            raise PageError(f"{here}: the page is empty", "empty")
        content_type = sniff(answer)
        self._check_type(here, content_type)
        title, text = await self._extractors.run(
            here, extract_page, answer.body, content_type, answer.charset, self.settings.pdf_pages
        )
        if not text:
            raise PageError(f"{here}: the page holds no text", "empty")
        return Page(
            url=hops[0],
            final_url=here,
            title=title,
            text=text,
            content_type=content_type,
            status=answer.status,
            fetched=time.time(),
            hops=tuple(hops),
        )

    async def _get(self, address: str, timeout: float, *, robots: bool = False) -> Answer:
        """One request, no redirect followed. Of a `robots` file what is too much is left out."""
        url = httpx2.URL(address)
        headers = {
            "Host": url.netloc.decode(),
            "User-Agent": self.settings.user_agent,
            "Accept": "*/*" if robots else ", ".join([*self.settings.content_types, "*/*;q=0.1"]),
            "Accept-Encoding": "gzip",
        }
        target = httpcore2.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        try:
            async with (
                asyncio.timeout(timeout),
                self._pool.stream(
                    "GET", target, headers=[(k.encode(), v.encode()) for k, v in headers.items()]
                ) as response,
            ):
                return await self._receive(address, response, robots)
        except (TimeoutError, httpcore2.TimeoutException):
            kind = "timeout"
            fault = f"not complete after {self.settings.timeout:g} s (web.pages.timeout)"
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError, ValueError) as error:
            kind, fault = "connection", f"no answer ({error or type(error).__name__})"
        raise PageError(f"{address}: {fault}", kind, passing=True)

    async def _receive(self, address: str, response: httpcore2.Response, robots: bool) -> Answer:
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.headers
        }
        status = response.status
        if status in REDIRECTS and "location" in headers:
            return Answer(status, headers["location"])
        if not 200 <= status < 300:
            return Answer(status)
        kind, _, parameters = headers.get("content-type", "").partition(";")
        kind = kind.strip().lower()
        charset = CHARSET.search(parameters)
        max_bytes = ROBOTS_BYTES if robots else self.settings.max_bytes
        if not robots and kind not in SNIFFED:
            self._check_type(address, kind)
        # What is declared is only a hint, but one that can save the whole transfer.
        declared = headers.get("content-length", "")
        size, body = int(declared) if declared.isdecimal() else 0, b""
        if robots or size <= max_bytes:
            encoding = headers.get("content-encoding", "")
            body = await receive_body(response, encoding, max_bytes, address)
        if not robots and max(size, len(body)) > max_bytes:
            raise PageError(
                f"{address}: more than {max_bytes} bytes (web.pages.max_bytes)", "too_large"
            )
        return Answer(status, "", kind, charset[1] if charset else "", body[:max_bytes])

    def _check_type(self, address: str, kind: str) -> None:
        if kind not in self.settings.content_types:
            raise PageError(
                f"{address}: is {kind or 'of unknown type'}; web.pages.content_types does not"
                " name it",
                "content_type",
            )

    async def _check_robots(self, address: str) -> None:
        """Raise PageError of kind `robots` when the site does not want the page read."""
        if not self.settings.robots:
            return
        url = httpx2.URL(address)
        origin = f"{url.scheme}://{url.netloc.decode()}"
        if origin not in self._robots:
            self._robots[origin] = await self._robots_flights.join(
                origin, lambda: self._open_robots(origin)
            )
        rules = self._robots[origin]
        if isinstance(rules, PageError):
            raise PageError(str(rules), rules.kind, passing=rules.passing)
        if rules is not None and not rules.can_fetch(address, self.settings.user_agent):
            raise PageError(f"{address}: {origin}/robots.txt does not allow it", "robots")

    async def _open_robots(self, origin: str) -> Protego | PageError | None:
        """A site's rules from the cache or the site: None if there are none.

        A site whose rules cannot be had, or that the parser chokes on, may not be read (RFC 9309,
        2.3.1.4): then it is the error.
        """
        key = digest({"robots": origin})
        text = self._cache.get(key, since=time.time() - 3600 * ROBOTS_AGE_H)
        if text is None:
            failed = digest({"robots failure": origin, "networks": self.settings.allow_networks})
            if failure := self._recall_failure(failed):
                return failure
            try:
                text = await self._fetch_robots(f"{origin}/robots.txt")
            except PageError as error:
                if error.kind != "private_address":
                    message = f"{error}; without its robots.txt a site is not read"
                    error = PageError(message, "robots", passing=True)
                self._keep_failure(failed, error)
                return error
            self._cache.put(key, text, replace=True)
        try:
            return Protego.parse(text) if text else None
        except Exception as error:
            return PageError(f"{origin}/robots.txt cannot be parsed ({error!r:.100})", "robots")

    async def _fetch_robots(self, address: str) -> str:
        """The text of a robots.txt; "" when there is none (4xx, or too many redirects)."""
        self.usage["robots"] += 1
        for _ in range(ROBOTS_REDIRECTS + 1):
            async with self._host_slots[httpx2.URL(address).host], self._slots.take():
                answer = await self._get(address, self.settings.timeout, robots=True)
            if answer.status in REDIRECTS and answer.location:
                try:
                    address = parse_address(answer.location, address)
                except PageError:
                    return ""
                continue
            if is_passing_status(answer.status):
                raise PageError(f"{address}: answered {answer.status}", f"http_{answer.status}")
            return answer.body.decode("utf-8", "replace")
        return ""


class _Excluded(PageError):
    """What is excluded, or redirects to `hop`, which is."""

    def __init__(self, hop: str) -> None:
        super().__init__(f"{hop}: excluded", "blocked")
        self.hop = hop


def parse_address(url: str, base: str = "") -> str:
    """A URL in one spelling, without its fragment; raises PageError of kind `url`.

    `base`: the page that redirects to it.
    """
    try:
        parsed = httpx2.URL(base).join(url) if base else httpx2.URL(url.strip())
    except (httpx2.InvalidURL, ValueError, TypeError):
        whence = f"{base} redirects to this: " if base else ""
        raise PageError(f"{whence}{url[:200]!r} is no URL", "url") from None
    named = HOST.fullmatch(parsed.raw_host.decode())
    if parsed.scheme not in ("http", "https") or not named or parsed.userinfo:
        raise PageError(
            f"{parsed.copy_with(username='', password='')!s:.200}: only http and https URLs"
            " without a password are read",
            "url",
        )
    return str(parsed.copy_with(fragment=None))


def follow(hops: list[str], location: str, limit: int) -> str:
    """The next URL of a redirect; raises PageError of kind `redirects` or `url`."""
    target = parse_address(location, hops[-1])
    if target in hops:
        raise PageError(f"{hops[0]}: redirects in circles", "redirects")
    if len(hops) > limit:
        raise PageError(
            f"{hops[0]}: more than {limit} redirects (web.pages.redirects)", "redirects"
        )
    return target


def check_excluded(address: str, excluded: Exclusion) -> None:
    """Raise PageError of kind `blocked` for an excluded URL."""
    if excluded.excludes(address):
        raise _Excluded(address)


def sniff(answer: Answer) -> str:
    """The content type; where the header says nothing, by the first bytes (WHATWG MIME sniffing).

    A PDF is a PDF whatever the header says.
    """
    if answer.body.startswith(b"%PDF-"):
        return PDF
    if answer.content_type in SNIFFED and HTML_TAG.search(answer.body[:SNIFFED_BYTES]):
        return HTML[0]
    return answer.content_type


async def receive_body(
    response: httpcore2.Response, encoding: str, max_bytes: int, address: str
) -> bytes:
    """The decompressed body; reading ends as soon as it has more than `max_bytes`.

    No compressed byte is expanded beyond the limit, so that a small bomb stays small.
    """
    encoding = encoding.strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise PageError(f"{address}: compressed as {encoding!r}, unasked", "unreadable")
    gzip = zlib.decompressobj(wbits=31) if encoding.endswith("gzip") else None
    body = bytearray()
    async for chunk in response.aiter_stream():
        try:
            body += gzip.decompress(chunk, max_bytes + 1 - len(body)) if gzip else chunk
        except zlib.error as error:
            raise PageError(f"{address}: broken compression ({error})", "unreadable") from None
        if len(body) > max_bytes:
            break
    return bytes(body)
