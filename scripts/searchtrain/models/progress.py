"""Live progress of a stage: a bar on a terminal, a plain line every ten seconds elsewhere."""

import logging
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from searchtrain.models.model import Model

logger = logging.getLogger(__name__)
INTERVAL = 10.0
"""Seconds between two plain lines."""


class StageProgress:
    """Rows done, tokens, rate, cache hits, failures, cost and time left of one stage."""

    def __init__(self, total: int, clients: Sequence[Model]) -> None:
        self.total = total
        self.done = 0
        self.failed = 0
        self._clients = clients
        self._begun = self._printed = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            self._bar = Progress(
                BarColumn(),
                TextColumn("{task.completed}/{task.total} {task.description}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("", total=total)
            self._bar.start()

    def advance(self, failed: bool = False) -> None:
        """Count one finished row."""
        self.done += 1
        self.failed += failed
        if self._bar:
            self._bar.update(self._task, completed=self.done, description=self._describe())
        elif time.monotonic() - self._printed >= INTERVAL:
            self._printed = time.monotonic()
            left = (self._printed - self._begun) / self.done * (self.total - self.done)
            logger.info(
                "%d/%d rows, %s, %.0f s left", self.done, self.total, self._describe(), left
            )

    def skip(self, rows: int) -> None:
        """Take rows out of the total that need not be done."""
        self.total -= rows
        if self._bar:
            self._bar.update(self._task, total=self.total)

    def finish(self) -> None:
        """Take the bar away and log the summary."""
        if self._bar:
            self._bar.stop()
        seconds = time.monotonic() - self._begun
        logger.info("%d/%d rows in %.0f s, %s", self.done, self.total, seconds, self._describe())

    def _describe(self) -> str:
        def add(kind: str) -> int:
            return sum(client.usage[kind] for client in self._clients)

        seconds = max(time.monotonic() - self._begun, 1e-9)
        tokens = add("prompt_tokens") + add("completion_tokens")
        cost = sum(client.cost() for client in self._clients)
        return (
            f"{add('requests')} requests, {add('cached')} cache hits, {add('retries')} retries,"
            f" {self.failed} failed, {tokens:,} tokens, {self.done / seconds:.1f} rows/s"
            + (f", ${cost:.2f}" if cost else "")
        )
