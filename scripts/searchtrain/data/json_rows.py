"""Rows of a data file that others wrote: a JSON array or JSON Lines, told apart by its first sign.

Invariant: every row comes with its place in the file, for messages.
"""

import json
import re
from pathlib import Path
from typing import Any

from searchtrain.core.errors import InputError
from searchtrain.core.files import canonical_json, read_text

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json_rows(path: str | Path) -> list[tuple[str, dict[str, Any]]]:
    """Read every object of the file as `(place, object)`; a byte order mark does no harm.

    `place` is `<file>: row <number>` in an array and `<file>: line <number>` in JSON Lines, both
    counted from 1. Raises InputError naming file, place and fault.
    """
    text = read_text(path, "a JSON array or JSON Lines", "utf-8-sig")
    if text.lstrip().startswith("["):
        rows = [(f"{path}: row {n}", row) for n, row in enumerate(_parse(text, path, 0), 1)]
    else:
        lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
        rows = [(f"{path}: line {n}", _parse(line, path, n)) for n, line in lines]
    if not rows:
        raise InputError(f"{path}: the array holds no rows; give at least one")
    escaped = SURROGATE.search(text)
    for place, row in rows:
        if not isinstance(row, dict):
            raise InputError(f"{place}: expected a JSON object, got {row!r:.60}")
        if escaped:
            check_unicode(canonical_json(row), place)
    return rows


def check_unicode(text: str, place: str) -> None:
    """Raise InputError for half a surrogate pair, which JSON may escape and no file can store."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        fault = text[max(0, error.start - 30) : error.end]
        raise InputError(f"{place}: {fault!r} is no valid Unicode; fix its \\u escapes") from None


def _parse(text: str, path: str | Path, line: int) -> Any:
    """Parse one array (`line` is 0) or one line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {line or error.lineno}, column {error.colno}"
        remedy = "; the file must be a JSON array or have one object a line" if line else ""
        raise InputError(f"{path}: {place}: not valid JSON ({error.msg}){remedy}") from None
