"""A table of transcripts for full-text search, which Inspect's viewer has only within one of them.

Invariant: what is found leads to its rollout in the viewer.
"""

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any, Self

TABLE = "search.sqlite"
COLUMNS = ("text", "question", "answer", "rollout", "part", "verdict", "address")
SCHEMA = f"""
create virtual table transcripts using fts5(
    {", ".join(COLUMNS[:3])}, {", ".join(f"{name} unindexed" for name in COLUMNS[3:])},
    tokenize = "unicode61 remove_diacritics 2"
)
"""


class SearchTable:
    """Writes the table into one SQLite file (FTS5)."""

    def __init__(self, path: Path) -> None:
        self._table = sqlite3.connect(path, isolation_level=None)
        self._table.execute("pragma journal_mode=off")
        self._table.execute(SCHEMA)
        self._table.execute("begin")

    def add(self, **values: str) -> None:
        """Add a transcript: a value for each of `COLUMNS`."""
        marks = ", ".join("?" * len(COLUMNS))
        row = [values[name] for name in COLUMNS]
        self._table.execute(f"insert into transcripts values ({marks})", row)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._table.execute("commit")
        self._table.close()


def describe_search(viewer: str) -> dict[str, Any]:
    """Datasette's metadata: one page that searches. `viewer`: the address of Inspect's viewer."""
    base = viewer.replace("'", "''")
    return {
        "title": "Search in transcripts",
        "description": 'Words that a rollout must hold; "several words" in quotes stand together.',
        "databases": {
            "search": {
                "queries": {
                    "words": {
                        "title": "Transcripts with these words",
                        "sql": QUERY.format(base=base),
                        "params": ["words"],
                        "hide_sql": True,
                    }
                }
            }
        },
    }


QUERY = """
select '{base}' || address as open, part, rollout, verdict, question, answer,
    replace(snippet(transcripts, 0, '[', ']', ' … ', 32), char(10), ' ') as found
from transcripts
where transcripts match case when trim(:words) = '' then '""' else escape_fts(:words) end
order by rank limit 200
"""
"""No words, as when the page is opened, find nothing; FTS5 takes them for a mistake."""
