"""Paying for an answer: how whatever costs money is asked for.

Invariant: an answer is in the cache before anyone sees it, and a failure never is; those who want
the same answer at the same time share one request.
"""

import asyncio
import email.utils
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import tenacity

from searchtrain.core.errors import BoundaryError, Interrupted, ServiceError
from searchtrain.core.single_flight import SingleFlight
from searchtrain.models.request_cache import RequestCache

LONGEST_WAIT_S = 30.0
"""Before another attempt, whatever the server asks for, unless it is busy."""
BUSY = "http_429"
"""The kind of a refusal that costs no attempt: the server says that it is busy."""
PATIENCE_S = 900.0
"""For a server that is busy, in all."""

Answer = dict[str, Any]


class Counts(NamedTuple):
    """What a purchaser's counts are called."""

    paid: str = "requests"
    cached: str = "cached"
    retries: str = "retries"


class Slots:
    """Places for requests in flight; none is free after a stop or a refusal."""

    def __init__(self, count: int) -> None:
        self._places = asyncio.Semaphore(count)
        self._end: Interrupted | ServiceError | None = None

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Hold a place; raises Interrupted, or the refusal that every request would meet."""
        async with self._places:
            self.check()
            yield

    def check(self) -> None:
        """Raise what `take` would."""
        if self._end is not None:
            raise self._end

    def close(self, end: Interrupted | ServiceError) -> None:
        """Give no further place, for the reason `end`; the first one counts."""
        self._end = self._end or end


class Purchaser:
    """Requests answers; safe for thousands of concurrent callers on one event loop."""

    def __init__(
        self,
        cache: RequestCache | None,
        usage: Counter[str],
        *,
        concurrency: int,
        attempts: int,
        backoff: float,
        counts: Counts = Counts(),  # noqa: B008 (immutable)
        find_excess: Callable[[], ServiceError | None] = lambda: None,
    ) -> None:
        """`usage` is counted under the names of `counts`. `concurrency`: requests in flight.

        A failure that says it may pass has `attempts`; the wait between them is drawn from 0 to
        `backoff` seconds, which double every time, and not shorter than the server asks for. A
        server that is busy (`BUSY`) is waited for beyond that. `find_excess` is asked after every
        purchase: why there may be no other, because too much is spent.
        """
        self.usage = usage
        self._cache = cache
        self._slots = Slots(concurrency)
        self._attempts = attempts
        self._backoff = tenacity.wait_random_exponential(backoff, LONGEST_WAIT_S)
        self._counts = counts
        self._find_excess = find_excess
        self._flights: SingleFlight[Answer] = SingleFlight()

    def recall(self, key: str) -> Answer | None:
        """The answer from the cache, which is counted, or None."""
        stored: Answer | None = self._cache.get(key) if self._cache else None
        if stored is not None:
            self.usage[self._counts.cached] += 1
        return stored

    async def buy(self, key: str, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Get an answer that is not in the cache: from the request under way, or from `ask`.

        `ask` makes one attempt and raises BoundaryError, which may be passing, or ServiceError
        when nobody would be answered: then no other request is begun either.
        """
        return await self._flights.join(key, lambda: self._buy(key, ask))

    def stop(self) -> None:
        """Begin no further request; those in flight still finish and are cached."""
        self._slots.close(Interrupted())

    async def _buy(self, key: str, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        async with self._slots.take():
            try:
                answer = await self._try(ask)
            except ServiceError as refusal:
                self._slots.close(refusal)
                raise
            # Nothing may be awaited between the answer and this commit.
            if self._cache:
                self._cache.put(key, answer)
        self.usage[self._counts.paid] += 1
        if excess := self._find_excess():
            self._slots.close(excess)
        return answer

    async def _try(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        tries = 0

        def is_spent(state: tenacity.RetryCallState) -> bool:
            if _is_busy(state):
                return state.idle_for > PATIENCE_S
            nonlocal tries
            tries += 1
            return tries >= self._attempts

        retrying = tenacity.AsyncRetrying(
            stop=is_spent,
            wait=self._choose_wait,
            retry=tenacity.retry_if_exception(_is_passing),
            before_sleep=self._count_retry,
            reraise=True,
        )

        async def attempt() -> Answer:  # tenacity awaits what it sees to be a coroutine function
            return await ask()

        try:
            return await retrying(attempt)
        except BoundaryError as error:
            if tries > 1:
                error.args = (f"{error} ({tries} attempts)",)
            raise

    def _choose_wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, BoundaryError) else 0.0
        longest = PATIENCE_S if _is_busy(state) else LONGEST_WAIT_S
        return max(self._backoff(state), min(asked, longest))

    def _count_retry(self, _state: tenacity.RetryCallState) -> None:
        self.usage[self._counts.retries] += 1
        self._slots.check()


def find_excess(section: str, spent: float, limit: float | None) -> ServiceError | None:
    """Why a job may buy nothing more, if it has spent its limit of US dollars; `section`: of the
    config, with `max_dollars`."""
    if limit is None or spent < limit:
        return None
    return ServiceError(
        f"{section}.max_dollars: {limit:g}: this job has spent ${spent:.2f}; what it bought is"
        " kept, and the same command goes on from there: raise the limit, or spend as much again"
    )


def read_retry_after(value: str) -> float:
    """Seconds that a Retry-After header asks to wait: a number or a date, 0 for neither."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, BoundaryError) and error.passing


def _is_busy(state: tenacity.RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    return isinstance(error, BoundaryError) and error.kind == BUSY
