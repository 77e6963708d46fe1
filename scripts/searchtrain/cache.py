"""The content-addressed request cache: no paid-for answer is bought twice.

One folder, one SQLite file per writing job (WAL mode), every reader reads all of them, so jobs
on a shared file system never write to the same file. Invariant: an answer is committed before
anyone sees it. Failures are no answers: whoever remembers one keeps it under a key of its own.
"""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

SCHEMA = """
create table if not exists answers (
    key text primary key,
    value text not null,   -- JSON
    bought real not null   -- seconds since the epoch
) without rowid
"""


class RequestCache:
    """Answers by key; reads every file of the folder, writes one.

    `folder` holds the files; `writer` names this job's own (`trajectories`, `tag`, …).
    """

    def __init__(self, folder: str | Path, writer: str) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        own = folder / f"{writer}.sqlite"
        self._own = sqlite3.connect(own, isolation_level=None)
        self._own.execute("pragma journal_mode=wal")
        # WAL with NORMAL survives the death of the process at any moment without one fsync an
        # answer; only a power failure can lose the last few.
        self._own.execute("pragma synchronous=normal")
        self._own.execute(SCHEMA)
        self._others = [
            sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            for path in sorted(folder.glob("*.sqlite"))
            if path != own
        ]

    def get(self, key: str, since: float = 0.0) -> Any | None:
        """The stored answer, or None; one bought before `since` (epoch seconds) does not count."""
        for connection in (self._own, *self._others):
            try:
                row = connection.execute(
                    "select value from answers where key = ? and bought >= ?", (key, since)
                ).fetchone()
            except sqlite3.OperationalError:
                continue  # another job has just created its file and not yet its table
            if row:
                return json.loads(row[0])
        return None

    def put(self, key: str, value: Any, *, replace: bool = False) -> None:
        """Store and commit an answer; the first one bought wins, or with `replace` the last."""
        self._own.execute(
            f"insert or {'replace' if replace else 'ignore'} into answers values (?, ?, ?)",
            (key, json.dumps(value, ensure_ascii=False), time.time()),
        )

    def close(self) -> None:
        """Close every file."""
        for connection in (self._own, *self._others):
            connection.close()
