"""What every training step came to, as a JSON Lines file.

Invariant: one line per step, in order, also where a run was interrupted and went on.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from searchtrain.core.files import read_jsonl, write_jsonl


class History:
    """The steps of a run, in a file that survives it."""

    def __init__(self, file: Path | None, steps: int) -> None:
        """Go on after `steps` steps: later lines, of steps that were not saved, are dropped.

        Without a file (in all processes but one) nothing is kept for a later run.
        """
        found = [row for _, row in read_jsonl(file)] if file and file.exists() else []
        self.rows = [row for row in found if row["step"] <= steps]
        self.file = file
        if file:
            write_jsonl(self.rows, file)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a step."""
        self.rows.append(dict(row))
        if self.file:
            with self.file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
