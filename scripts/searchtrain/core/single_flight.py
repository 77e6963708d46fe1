"""Single flight: callers that want the same thing at the same time share one piece of work."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class SingleFlight(Generic[Result]):
    """Work under way by key; nothing is remembered once it is done (that is the cache's job)."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, asyncio.Task[Result]] = {}

    async def join(self, key: Hashable, work: Callable[[], Awaitable[Result]]) -> Result:
        """Wait for the work that goes under `key`, which the first caller begins.

        Its error reaches every caller; a caller that is cancelled leaves the work to the others.
        """
        task = self._flights.get(key)
        if task is None:
            task = self._flights[key] = asyncio.ensure_future(work())
            task.add_done_callback(lambda _: self._flights.pop(key, None))
        return await asyncio.shield(task)
