"""The content-addressed request cache: no answer is paid for twice.

One folder, one SQLite file per writing job, every reader reads all of them. Invariant: an answer
is committed before anyone sees it, and a file is written by one process while nobody else has it
open, so jobs on several machines may share the folder. A file that another job holds is left out;
one that cannot be read or written for any other reason ends the stage, which would else pay again
in silence. Failures are no answers: whoever remembers one keeps it under a key of its own.

SQLite's write-ahead log is fast, but its index is shared memory, which machines cannot share
(sqlite.org/wal.html, "all processes using a database must be on the same host computer"). With
`locking_mode=exclusive` there is no such index: the writer holds the file's lock, which the kernel
or the file server gives back however the writer ends, and until then others leave the file alone.
At rest a file has no log, and any number of machines may read it.
"""

import gc
import json
import logging
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from weakref import finalize

from searchtrain.core.errors import InputError

logger = logging.getLogger(__name__)

SCHEMA = """
create table if not exists answers (
    key text primary key,
    value text not null,   -- JSON
    bought real not null   -- seconds since the epoch
) without rowid
"""
SECONDS = "seconds"
"""In an answer of a model: how long it was waited for. Caches of before November 2026 lack it."""
WAIT_S = 100.0
"""For this job's own file: a file server takes up to 90 s to see that a machine died (NFSv4)."""
OTHERS_WAIT_S = 2.0
"""For all files of others, which may be recovering one left by a job that was killed."""
HELD = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
"""What SQLite says of a file that another job has open."""
SYNC_S = 1.0
"""Answers of so many seconds at most are lost when a machine loses power; a dead job loses none."""


class RequestCache:
    """Answers by key; reads every file of the folder that is at rest, writes one.

    `folder` holds the files; `writer` names this job's own (`trajectories`, `tag`, …). If another
    job holds that file for too long, this one takes `<writer>.2.sqlite`.
    """

    def __init__(self, folder: str | Path, writer: str) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._own, self._path = _claim_file(folder, writer)
        # Python would keep an unused connection open until it looks for reference cycles.
        self._closing = finalize(self, _close_file, self._own)
        self._synced = 0.0
        self._others = _open_others([p for p in folder.glob("*.sqlite") if p != self._path])

    def get(self, key: str, since: float = 0.0) -> Any | None:
        """The stored answer, or None; one of before `since` (epoch seconds) does not count.

        Raises InputError naming a file that cannot be read.
        """
        for path, connection in ((self._path, self._own), *self._others):
            try:
                row = connection.execute(
                    "select value from answers where key = ? and bought >= ?", (key, since)
                ).fetchone()
            except sqlite3.Error as error:
                # Another job writes its file now, or died before it had a table.
                elsewhere = _is_held(error) or str(error) == "no such table: answers"
                if connection is not self._own and elsewhere:
                    continue
                raise _name_file(path, error) from None
            if row:
                return json.loads(row[0])
        return None

    def put(self, key: str, value: Any, *, replace: bool = False) -> None:
        """Store and commit an answer; the first one wins, or with `replace` the last.

        Raises InputError naming the file when it cannot be written.
        """
        now = time.time()
        # A commit that waits for the disk takes all earlier ones with it.
        waits = abs(now - self._synced) >= SYNC_S
        try:
            self._own.execute(f"pragma synchronous={'full' if waits else 'normal'}")
            self._own.execute(
                f"insert or {'replace' if replace else 'ignore'} into answers values (?, ?, ?)",
                (key, json.dumps(value, ensure_ascii=False), now),
            )
        except sqlite3.Error as error:
            raise _name_file(self._path, error) from None
        if waits:
            self._synced = now

    def close(self) -> None:
        """Close every file."""
        self._closing()
        for _, connection in self._others:
            connection.close()


class Found(NamedTuple):
    """A stored answer, when it was bought (seconds since the epoch), and the file that has it."""

    answer: Any
    bought: float
    file: str


def look_up(folder: str | Path, keys: Iterable[str]) -> dict[str, Found]:
    """The stored answers to these keys, for people: changes no file, and waits for nobody.

    A file that a job writes now is left out.
    """
    wanted, found = list(dict.fromkeys(keys)), dict[str, Found]()
    marks = ", ".join("?" * len(wanted))
    for path in sorted(Path(folder).glob("*.sqlite")):
        uri = f"{path.absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, timeout=0)) as connection:
                rows = connection.execute(
                    f"select key, value, bought from answers where key in ({marks})", wanted
                ).fetchall()
        except sqlite3.Error:
            continue
        for key, value, bought in rows:
            found.setdefault(key, Found(json.loads(value), bought, path.name))
    return found


def _close_file(connection: sqlite3.Connection) -> None:
    """Close a file that was written, and leave no log."""
    connection.execute("pragma journal_mode=delete")
    connection.close()


def _claim_file(folder: Path, writer: str) -> tuple[sqlite3.Connection, Path]:
    """Open a file that nobody else has open, by name if possible; returns it and its path."""
    for number in count(1):
        path = folder / (f"{writer}.sqlite" if number == 1 else f"{writer}.{number}.sqlite")
        for wait in (0.0, WAIT_S) if number == 1 else (0.0,):
            try:
                connection = _open_alone(path, wait)
                connection.execute("pragma journal_mode=wal")
                connection.execute(SCHEMA)
                return connection, path
            except sqlite3.Error as error:
                if not _is_held(error):
                    raise InputError(
                        f"{path}: {error}; the cache must be a folder that can be written, on a"
                        " file system with file locks (Lustre: mounted with flock)"
                    ) from None
                gc.collect()  # closes those of this process that nobody uses any more
                logger.warning("%s: another job holds this file", path)
    raise AssertionError


def _open_others(paths: list[Path]) -> list[tuple[Path, sqlite3.Connection]]:
    """Open for reading what nobody writes now."""
    deadline, connections = time.monotonic() + OTHERS_WAIT_S, []
    for path in sorted(paths):
        try:
            recovered = _open_alone(path, max(0.0, deadline - time.monotonic()))
            _close_file(recovered)  # takes in the log that a job left when it was killed
            # Without patience: whoever writes it from now on keeps it until he ends.
            uri = f"{path.absolute().as_uri()}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, timeout=0)
        except sqlite3.Error as error:
            if not _is_held(error):
                raise _name_file(path, error) from None
            logger.warning("%s: not read, another job holds it (%s)", path, error)
            continue
        connections.append((path, connection))
    return connections


def _open_alone(path: Path, wait: float) -> sqlite3.Connection:
    """A connection that will share a log with nobody; waits `wait` seconds for others to finish."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=wait, check_same_thread=False)
    connection.execute("pragma locking_mode=exclusive")
    return connection


def _is_held(error: sqlite3.Error) -> bool:
    """Whether another job has the file open; the error code's low byte is its kind."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in HELD


def _name_file(path: Path, error: sqlite3.Error) -> InputError:
    """The error for a file that SQLite cannot use."""
    return InputError(
        f"{path}: {error}; fix it (is there room on the disk?) or take it out of the cache,"
        " and run again"
    )
