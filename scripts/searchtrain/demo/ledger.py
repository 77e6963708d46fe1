"""The ledger of a server: how often it answered each request.

Invariant: a file keeps the count across restarts, and a kill loses nothing.
"""

import os
from collections import Counter
from pathlib import Path


class Ledger:
    """Counts answered requests by digest."""

    def __init__(self, path: str | Path | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.file: int | None = None
        if path is not None:
            path = Path(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                self.counts.update(path.read_text(encoding="utf-8").split())
            self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def add(self, digest: str) -> None:
        """Count one answered request, as one unbuffered line."""
        self.counts[digest] += 1
        if self.file is not None:
            os.write(self.file, f"{digest}\n".encode())

    def summarise(self) -> dict[str, int]:
        """Requests answered, how many of them differ, and how many came again."""
        answered, distinct = self.counts.total(), len(self.counts)
        return {"answered": answered, "distinct": distinct, "repeated": answered - distinct}
