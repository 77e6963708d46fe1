"""The client of a Search-R1 retriever: `POST /retrieve`, retried and checked.

Queries that arrive while every connection is busy travel together, so thousands of rollouts cost
few requests. Invariant: a caller gets passages for its own queries or a SearchError that names
the URL, what happened and what to do; one bad query never fails its neighbours.
"""

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import httpx2
import orjson
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from searchtrain.core.errors import SearchError
from searchtrain.models.transport import make_options
from searchtrain.search import Search
from searchtrain.search.retry import is_passing, is_passing_status

LONGEST_WAIT_S = 30.0
NOT_THE_QUERY = ("timeout", "connection", "http_429", "http_502", "http_503", "http_504")
"""Kinds of failure that no single query of a batch can be to blame for."""

Hits = list[dict[str, Any]]


class Batch(NamedTuple):
    """Queries with the same `topk` that wait for a connection together."""

    places: dict[str, int]
    """Each query once, with its place in the request."""
    task: asyncio.Task[list[Hits | SearchError]]


class RetrieverClient(Search):
    """Search over HTTP; passages of one's own index cost nothing."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 60.0,
        attempts: int = 5,
        backoff: float = 0.5,
        concurrency: int = 8,
        batch_size: int = 64,
    ) -> None:
        """Make a client; nothing is sent yet.

        `url`: the server's base, without /retrieve. `timeout` and `backoff` (the first wait, which
        then doubles) are in seconds. `concurrency`: requests under way at once. `batch_size`:
        most queries in one request.
        """
        self.url = url.rstrip("/").removesuffix("/retrieve") + "/retrieve"
        self._batch_size = batch_size
        self._attempts = attempts
        self._backoff = backoff
        self._slots = asyncio.Semaphore(concurrency)
        self._open: dict[int, Batch] = {}
        self._http = httpx2.AsyncClient(
            timeout=timeout,
            limits=httpx2.Limits(max_connections=concurrency),
            **make_options(self.url),
        )

    async def search(
        self, queries: Sequence[str], topk: int, exclude: Sequence[str] = ()
    ) -> list[Hits]:
        """See `Search.search`; raises SearchError, of its kinds all."""
        places = [self._join(query, topk) for query in queries]
        await asyncio.gather(*(asyncio.shield(task) for task, _ in places))
        answers: list[Hits] = []
        for task, place in places:
            answer = task.result()[place]
            if isinstance(answer, SearchError):
                raise answer
            answers.append(answer)
        return answers

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _join(self, query: str, topk: int) -> tuple[asyncio.Task[list[Hits | SearchError]], int]:
        """Put a query into the batch that still waits, or open one."""
        batch = self._open.get(topk)
        if batch is None or len(batch.places) >= self._batch_size:
            places: dict[str, int] = {}
            task = asyncio.create_task(self._send(places, topk))
            batch = self._open[topk] = Batch(places, task)
        return batch.task, batch.places.setdefault(query, len(batch.places))

    async def _send(self, places: dict[str, int], topk: int) -> list[Hits | SearchError]:
        """Wait for a connection, close the batch to newcomers and get its answers."""
        async with self._slots:
            if topk in self._open and self._open[topk].places is places:
                del self._open[topk]
            queries = list(places)
            answers = await self._retrieve(queries, topk, self._attempts)
            fault = answers[0] if len(queries) > 1 else None
            if not isinstance(fault, SearchError) or fault.kind in NOT_THE_QUERY:
                return answers
            # Each query alone and once: the batch has had the attempts.
            return [(await self._retrieve([query], topk, 1))[0] for query in queries]

    async def _retrieve(
        self, queries: list[str], topk: int, attempts: int
    ) -> list[Hits | SearchError]:
        """Send one request, again if that can help; each query's hits, or for each the error."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(attempts),
            wait=wait_exponential_jitter(self._backoff, LONGEST_WAIT_S, jitter=self._backoff),
            retry=retry_if_exception(is_passing),
            reraise=True,
        )
        try:
            return list(await retrying(self._post, queries, topk))
        except httpx2.HTTPError as error:
            return [describe(error, self.url, attempts)] * len(queries)
        except SearchError as error:
            return [error] * len(queries)

    async def _post(self, queries: list[str], topk: int) -> list[Hits]:
        # Scores are always asked for: Search-R1's own server fails without them.
        body = {"queries": queries, "topk": topk, "return_scores": True}
        response = await self._http.post(
            self.url, content=orjson.dumps(body), headers={"content-type": "application/json"}
        )
        response.raise_for_status()
        return parse_result(response.content, len(queries), topk, self.url)


def parse_result(content: bytes, count: int, topk: int, url: str) -> list[Hits]:
    """Check a response to `count` queries and bring its passages into one form.

    Servers derived from Search-R1 may leave out `score` (the online ones), `id`, or the `document`
    around a passage, and may ignore `topk`. Raises SearchError of kind `contract`.
    """
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise breach(url, f"answered {content[:60]!r}, which is not JSON") from None
    result = value.get("result") if isinstance(value, dict) else None
    if not isinstance(result, list) or len(result) != count:
        raise breach(url, f"answered {count} queries without a result list for each")
    for hits in result:
        if not isinstance(hits, list):
            raise breach(url, f"returned {str(hits)[:60]!r} for a query, not a list of passages")
    return [
        [parse_hit(hit, rank, url) for rank, hit in enumerate(hits[:topk], 1)] for hits in result
    ]


def parse_hit(hit: Any, rank: int, url: str) -> dict[str, Any]:
    """One passage with `id`, `contents` and `score`; a missing score falls with the rank."""
    wrapped = isinstance(hit, dict) and "document" in hit
    document = hit["document"] if wrapped else hit
    contents = document.get("contents") if isinstance(document, dict) else None
    if not isinstance(contents, str):
        raise breach(url, f"returned a passage without contents ({str(hit)[:60]!r})")
    name = document.get("id")
    score = hit.get("score")
    return {
        **document,
        "id": str(name) if name is not None else sha256(contents.encode()).hexdigest()[:16],
        "score": float(score) if isinstance(score, int | float) else 1.0 / rank,
    }


def breach(url: str, what: str) -> SearchError:
    """The error for a server that does not speak the contract."""
    return SearchError(
        f"{url}: {what}; point the retriever's endpoint at a Search-R1 /retrieve server", "contract"
    )


def describe(error: httpx2.HTTPError, url: str, attempts: int) -> SearchError:
    """Turn the transport's exception into a SearchError."""
    if isinstance(error, httpx2.HTTPStatusError):
        status = error.response.status_code
        said = " ".join(error.response.text.split())[:200]
        tries = f" {attempts} times" if is_passing_status(status) else ""
        remedy = "check that the endpoint is a Search-R1 retriever"
        if status >= 500:
            remedy = "see the retriever's log"
        remedy = {429: "lower the concurrency of rollouts"}.get(status, remedy)
        return SearchError(f"{url}: answered {status}{tries}: {said}; {remedy}", f"http_{status}")
    if isinstance(error, httpx2.TimeoutException):
        said = f"{url}: no answer in time, {attempts} times; see the retriever's log"
        return SearchError(said, "timeout")
    said = f"{url}: no connection, {attempts} times ({error or type(error).__name__})"
    return SearchError(f"{said}; check that the retriever runs", "connection")
