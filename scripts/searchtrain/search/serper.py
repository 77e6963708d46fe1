"""The client of a Serper-compatible search engine: `POST /search {q, num, gl, hl}`.

Every answer goes through the request cache; its key names what was asked, never the URL and never
the key. Invariant: an answer is in the cache before the caller sees it, a failure never is, and
the API key leaves this module in one request header only.
"""

import asyncio
import os
from collections import Counter
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2
import orjson

from searchtrain import config
from searchtrain.core.errors import InputError, SearchError, SearchTrainError, ServiceError
from searchtrain.core.files import digest
from searchtrain.models.purchase import Counts, Purchaser, find_excess, read_retry_after
from searchtrain.models.request_cache import RequestCache
from searchtrain.models.transport import make_options
from searchtrain.search.retry import is_passing_status

REFUSED = {401, 403}
"""Statuses that no other request would escape: they end the stage at once."""
PARTS = ("organic", "answerBox", "knowledgeGraph")
"""What is used of a response, and kept."""


class SerperClient:
    """Asks one engine; safe for thousands of concurrent callers on one event loop.

    `usage` counts `searches` (paid for now), `search_cached` and `search_retries`.
    """

    def __init__(
        self,
        url: str,
        settings: config.Web,
        cache: RequestCache,
        usage: Counter[str],
        backoff: float,
    ) -> None:
        """Make a client; nothing is sent yet.

        `url`: the engine's, /search is added when it has no path. `backoff`: the longest first
        wait in seconds, which then doubles. Raises InputError when the key's variable is not set.
        """
        parts = urlsplit(url)
        parts = parts if parts.path.strip("/") else parts._replace(path="/search")
        self._url = urlunsplit(parts)
        self._name = urlunsplit(parts._replace(query=""))
        self._settings = settings
        self.usage = usage
        self._purchaser = Purchaser(
            cache,
            usage,
            concurrency=settings.concurrency,
            attempts=settings.attempts,
            backoff=backoff,
            counts=Counts("searches", "search_cached", "search_retries"),
            find_excess=lambda: find_excess("web", self.cost(), settings.max_dollars),
        )
        self._key = "" if settings.offline else read_key(settings.api_key_env)
        self._http = httpx2.AsyncClient(
            timeout=settings.timeout,
            limits=httpx2.Limits(max_connections=settings.concurrency),
            **make_options(url),
        )

    async def search(self, query: str) -> dict[str, Any]:
        """The engine's response to `query` (operators included), reduced to PARTS.

        Raises SearchError, and ServiceError when the engine refuses everyone.
        """
        locale = {"gl": self._settings.country, "hl": self._settings.language}
        body = {"q": query, "num": self._settings.results}
        body |= {name: value for name, value in locale.items() if value is not None}
        key = digest({"web search": body})
        stored = self._purchaser.recall(key)
        if stored is not None:
            return stored
        if self._settings.offline:
            raise SearchError(
                f"the search for {query!r} is not in the cache; set web.offline to false to ask the"
                " engine",
                "offline",
            )
        return await self._purchaser.buy(key, lambda: self._ask(body))

    def cost(self) -> float:
        """US dollars spent by this client."""
        return self.usage["searches"] * self._settings.price / 1000

    def stop(self) -> None:
        """Begin no further search; those in flight still finish and are cached."""
        self._purchaser.stop()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _ask(self, body: dict[str, Any]) -> dict[str, Any]:
        """One attempt."""
        headers = {"content-type": "application/json"}
        if self._key:
            headers["x-api-key"] = self._key
        timeout, attempts = self._settings.timeout, self._settings.attempts
        try:
            async with asyncio.timeout(timeout):
                response = await self._http.post(
                    self._url, content=orjson.dumps(body), headers=headers
                )
            response.raise_for_status()
        except httpx2.HTTPStatusError as error:
            raise self._classify(error.response) from None
        except (TimeoutError, httpx2.TimeoutException):
            kind, passing = "timeout", True
            fault = f"no answer within {timeout:g} s, {attempts} attempts"
            fault += "; check the engine or raise web.timeout"
        except httpx2.HTTPError as error:
            kind, passing = "connection", isinstance(error, httpx2.TransportError)
            tries = f", {attempts} attempts" if passing else ""
            said = self._hide_key(str(error)) or type(error).__name__
            fault = f"no connection{tries} ({said}); check web.endpoint"
        else:
            return parse_response(response.content, self._name)
        raise SearchError(f"{self._name}: {fault}", kind, passing=passing)

    def _classify(self, response: httpx2.Response) -> SearchTrainError:
        status = response.status_code
        said = self._hide_key(" ".join(response.text.split()))[:200]
        if status in REFUSED:
            remedy = "name the environment variable with the key in web.api_key_env"
            if self._settings.api_key_env:
                remedy = f"check the key in the environment variable {self._settings.api_key_env}"
            return ServiceError(f"{self._name}: HTTP {status}: {said}; {remedy}")
        passing = is_passing_status(status)
        tries = f" after {self._settings.attempts} attempts" if passing else ""
        remedy = "try again later" if status >= 500 else "check web.endpoint and the account"
        remedy = {429: "lower web.concurrency"}.get(status, remedy)
        return SearchError(
            f"{self._name}: HTTP {status}{tries}: {said}; {remedy}",
            f"http_{status}",
            passing=passing,
            retry_after=read_retry_after(response.headers.get("retry-after", "")),
        )

    def _hide_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def read_key(variable: str) -> str:
    """The API key from the environment; raises InputError when it is not there."""
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(
            f"web.api_key_env: environment variable {variable} is not set;"
            " export it with the search engine's API key"
        )
    return key


def parse_response(content: bytes, name: str) -> dict[str, Any]:
    """Check a response and keep PARTS of it; raises SearchError of kind `contract`.

    `organic` is missing when nothing was found.
    """
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise breach(name, "the answer is not JSON") from None
    if not isinstance(value, dict):
        raise breach(name, "the answer is not a JSON object")
    organic = value.get("organic") or []
    if not isinstance(organic, list) or not all(isinstance(row, dict) for row in organic):
        raise breach(name, "`organic` is not a list of objects")
    return {part: value[part] for part in PARTS if value.get(part)}


def breach(name: str, what: str) -> SearchError:
    """The error for a server that does not speak the contract."""
    return SearchError(
        f"{name}: {what}; point web.endpoint at a Serper-compatible search", "contract"
    )
