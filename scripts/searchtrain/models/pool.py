"""Run thousands of independent coroutines, a bounded number at a time, and stop with grace.

No barrier anywhere: a worker takes the next item as soon as it is free. When the stage is told to
stop (SIGTERM, Ctrl-C, or the death of the process that started it) no new request begins, requests
in flight finish and reach the cache, then the stage ends: a killed workflow pays for nothing twice.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from searchtrain.core.errors import BoundaryError, Interrupted, SearchTrainError
from searchtrain.serving.process import POLL_S, Parent

Item = TypeVar("Item")
Result = TypeVar("Result")

DRAIN = 20.0
"""Seconds that requests in flight get to finish after a stop."""
HOPELESS = 20
"""Failures in a row, with no success before, after which a stage gives up."""


class FailureLimit:
    """Counts failed rows and ends the stage when their share passes a limit.

    `share` is of `total` rows, 0 to 1. The message says which kinds failed and shows three.
    """

    def __init__(self, total: int, share: float, setting: str) -> None:
        self.kinds: Counter[str] = Counter()
        self._allowed = share * total
        self._total = total
        self._setting = setting
        self._examples: list[str] = []
        self._succeeded = False

    def count(self, error: BoundaryError | None) -> None:
        """Count one row; raises SearchTrainError when the limit is passed or nothing works."""
        if error is None:
            self._succeeded = True
            return
        self.kinds[error.kind] += 1
        if len(self._examples) < 3:
            self._examples.append(str(error))
        failed = self.kinds.total()
        if failed > self._allowed and (self._succeeded or failed >= min(HOPELESS, self._total)):
            kinds = ", ".join(f"{kind} {count}" for kind, count in self.kinds.most_common())
            examples = "; ".join(dict.fromkeys(self._examples))
            raise SearchTrainError(
                f"{failed} of {self._total} rows failed ({kinds}),"
                f" more than {self._setting} allows: {examples}"
            )


async def run_pool(
    items: Sequence[Item],
    work: Callable[[Item], Awaitable[Result]],
    *,
    workers: int,
    stop: Callable[[], None],
) -> list[Result]:
    """Apply `work` to every item; returns the results in the order of the items.

    `stop` is called once when the stage must end early; afterwards `work` is expected to raise
    Interrupted at its next request. The first error of `work` ends the stage in the same way and
    is raised when the workers have ended.
    """
    results: dict[int, Result] = {}
    queue = iter(range(len(items)))
    errors: list[BaseException] = []
    halted = asyncio.Event()

    async def take_items() -> None:
        for index in queue:
            if halted.is_set():
                return
            try:
                results[index] = await work(items[index])
            except Exception as error:
                errors.append(error)
                halted.set()

    def halt() -> None:
        errors.append(Interrupted())
        halted.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, halt)
    watcher = asyncio.create_task(_watch_parent(halt))
    tasks = [asyncio.create_task(take_items()) for _ in range(min(workers, len(items)))]
    stopper: asyncio.Future[Any] = asyncio.create_task(halted.wait())
    try:
        ends: list[asyncio.Future[Any]] = [asyncio.gather(*tasks), stopper]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if halted.is_set():
            stop()
            await asyncio.wait(tasks, timeout=DRAIN)
    finally:
        for task in (*tasks, watcher, stopper):
            task.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    if errors:
        raise errors[0]
    return [results[index] for index in range(len(items))]


async def _watch_parent(halt: Callable[[], None]) -> None:
    """Call `halt` when the process that started this one is gone (kill -9 of Snakemake)."""
    parent = Parent()
    while not parent.gone:
        await asyncio.sleep(POLL_S)
    halt()
