"""Processes that a test started: waiting for what they do, and what is left of them."""

import os
import time
from pathlib import Path

import psutil


def wait_until(condition, seconds=300):
    """Wait for what must come; the limit is only there to end a test that hangs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def find_processes(folder: Path) -> list[str]:
    """Command lines of the processes that work in `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and Path(process.cwd()) == folder:
                found.append(" ".join(process.cmdline()))
        except (psutil.Error, OSError):
            continue
    return found
