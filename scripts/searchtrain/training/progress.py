"""Live progress of a training: a line of the log with step, loss and time left.

LLaMA-Factory writes them to `trainer_log.jsonl` in the folder of the run. Invariant: a log that
cannot be read says nothing and ends nothing.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)
INTERVAL = 5.0
"""Seconds between two lines."""
LOG = "trainer_log.jsonl"


@contextmanager
def show_progress(work: Path, interval: float = INTERVAL) -> Iterator[None]:
    """Log what the run in a folder of `work` that is being written has come to."""
    ended = threading.Event()
    begun = time.time()

    def watch() -> None:
        said = ""
        while not ended.wait(interval):
            if (line := describe_progress(work, begun)) and line != said:
                logger.info("%s", line)
                said = line

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def describe_progress(work: Path, begun: float) -> str:
    """The latest step of the run that was written to since `begun`; empty before its first."""
    try:
        logs = [file for file in work.glob(f"*/{LOG}") if file.stat().st_mtime >= begun]
        latest = max(logs, key=lambda file: file.stat().st_mtime)
        lines = latest.read_text(encoding="utf-8").splitlines()
        entry: dict[str, Any] = next(
            found for line in reversed(lines) if "loss" in (found := json.loads(line))
        )
        return (
            f"step {entry['current_steps']}/{entry['total_steps']}, loss {entry['loss']:.3f},"
            f" {entry['remaining_time']} left"
        )
    except (OSError, ValueError, KeyError, StopIteration, TypeError):
        return ""
