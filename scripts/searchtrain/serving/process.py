"""Processes that end with their parent, in three ways.

A program looks whether its `Parent` is still there; a worker of multiprocessing calls
`end_with_parent`; a command that may start processes of its own runs in a `start_group`.

Invariant: whatever ends the process that starts a group (a signal, `kill -9`), the group ends too,
so that no GPU and no port stays held. Three things see to that:

- the process stops the group when it leaves the block;
- a watchdog process holds the read end of a pipe whose write end only this process has; when the
  kernel closes it, the watchdog stops the group (vLLM's engine outlives its API server);
- on Linux the command itself gets SIGTERM when this process dies before the watchdog knows it.
"""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from searchtrain.core.errors import ServiceError
from searchtrain.serving import watchdog

POLL_S = 0.2
"""Between two looks at the parent."""
LIBRARY = str(Path(__file__).resolve().parents[2])
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
PR_SET_PDEATHSIG = 1


class Parent:
    """The process that started this one, as long as it lives."""

    def __init__(self) -> None:
        self._pid = os.getppid()

    @property
    def gone(self) -> bool:
        """Whether it has ended, however that was."""
        return os.getppid() != self._pid


def end_with_parent() -> None:
    """In a spawned worker of multiprocessing: be killed once the parent is gone, however it ends.

    The thread works everywhere; the signal, on Linux, also for a worker that hangs in C code.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    die_with(parent.pid, signal.SIGKILL)
    threading.Thread(target=follow, daemon=True).start()


class Group:
    """A command that runs in a process group of its own."""

    def __init__(
        self, what: str, leader: subprocess.Popen[bytes], guard: subprocess.Popen[bytes]
    ) -> None:
        self.pid = leader.pid
        self._what = what
        self._leader = leader
        self._guard = guard

    def poll(self) -> int | None:
        """The command's exit status, None while it runs; ServiceError if the watchdog is gone."""
        status = self._leader.poll()
        if status is None and self._guard.poll() is not None:
            raise ServiceError(f"the watchdog of {self._what} is gone; run again")
        return status


@contextmanager
def start_group(
    what: str,
    command: Sequence[str],
    env: Mapping[str, str],
    output: BinaryIO,
    grace: float,
    locks: Sequence[int] = (),
) -> Iterator[Group]:
    """Run a command while the block runs, and stop it and all that it has started afterwards.

    `what`: its name in messages. `grace`: seconds between SIGTERM and SIGKILL. `locks`: file
    descriptors that stay open until the group is gone. Raises ServiceError for a command that
    cannot be started.
    """
    guard = subprocess.Popen(
        [sys.executable, "-I", watchdog.__file__, str(grace)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=locks,
    )
    try:
        try:
            leader = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=partial(die_with, os.getpid(), signal.SIGTERM),
            )
        except OSError as error:
            raise ServiceError(
                f"{command[0]} cannot be started ({error.strerror}); check the command"
            ) from None
        try:
            assert guard.stdin is not None
            guard.stdin.write(f"{leader.pid}\n".encode())
            guard.stdin.flush()
            yield Group(what, leader, guard)
        finally:
            watchdog.stop_group(leader.pid, grace, leader)
    finally:
        guard.communicate()


def build_environment(changes: Mapping[str, Any]) -> dict[str, str]:
    """This process's environment with changes, of which null takes a variable away.

    This library is always on the path. Snakemake's thread counts are left out: it sets one (0 for
    `threads: 0`) for every numerical library.
    """
    inherited = {name: value for name, value in os.environ.items() if "_THREADS" not in name}
    merged = {**inherited, **changes}
    merged["PYTHONPATH"] = os.pathsep.join(filter(None, (LIBRARY, merged.get("PYTHONPATH"))))
    return {name: str(value) for name, value in merged.items() if value is not None}


def die_with(parent: int | None, number: int) -> None:
    """In a new process: have Linux send it this signal when its parent dies.

    To Linux a parent is the thread that made the process; it must live as long.
    """
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)
