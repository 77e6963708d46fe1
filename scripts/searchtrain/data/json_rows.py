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
    """Read every object of the file as `(place, object)`, as `read_json_values` does.

    Raises InputError for a row that is no object, too.
    """
    text, rows = _read(path)
    escaped = SURROGATE.search(text)
    for place, row in rows:
        if not isinstance(row, dict):
            raise InputError(f"{place}: expected a JSON object, got {row!r:.60}")
        if escaped and not is_unicode(canonical_json(row)):
            raise InputError(f"{place}: no valid Unicode; fix its \\u escapes")
    return rows


def read_json_values(path: str | Path) -> list[tuple[str, Any]]:
    """Read every row of the file as `(place, value)`; a byte order mark does no harm.

    `place` is `<file>: row <number>` in an array and `<file>: line <number>` in JSON Lines, both
    counted from 1. Raises InputError naming file, place and fault.
    """
    return _read(path)[1]


def is_unicode(text: str) -> bool:
    """Whether there is no half of a surrogate pair, which JSON may escape and no file can store."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def _read(path: str | Path) -> tuple[str, list[tuple[str, Any]]]:
    """The file's text and its rows, of which there is at least one."""
    text = read_text(path, "a JSON array or JSON Lines", "utf-8-sig")
    if text.lstrip().startswith("["):
        rows = [(f"{path}: row {n}", row) for n, row in enumerate(_parse(text, path, 0), 1)]
    else:
        lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
        rows = [(f"{path}: line {n}", _parse(line, path, n)) for n, line in lines]
    if not rows:
        raise InputError(f"{path}: the array holds no rows; give at least one")
    return text, rows


def _parse(text: str, path: str | Path, line: int) -> Any:
    """Parse one array (`line` is 0) or one line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {line or error.lineno}, column {error.colno}"
        remedy = "; the file must be a JSON array or have one object a line" if line else ""
        raise InputError(f"{path}: {place}: not valid JSON ({error.msg}){remedy}") from None
