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
"""JSON may escape half a surrogate pair, which no file can store."""


def read_json_rows(path: str | Path) -> list[tuple[str, dict[str, Any]]]:
    """Read every object of the file as `(place, object)`; a byte order mark does no harm.

    `place` is `<file>: row <number>` in an array and `<file>: line <number>` in JSON Lines, both
    counted from 1. Raises InputError naming file, place and fault.
    """
    path = Path(path)
    text = read_text(path, "a JSON array or JSON Lines", "utf-8-sig")
    if text.lstrip().startswith("["):
        values = _parse(text, str(path), 0)
        places = [f"{path}: row {number}" for number in range(1, len(values) + 1)]
    else:
        lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
        places = [f"{path}: line {number}" for number, _ in lines]
        values = [_parse(line, str(path), number) for number, line in lines]
    if not values:
        raise InputError(f"{path}: the array holds no rows; give at least one")
    for place, value in zip(places, values, strict=True):
        if not isinstance(value, dict):
            raise InputError(f"{place}: expected a JSON object, got {value!r:.60}")
    if SURROGATE.search(text):
        for place, value in zip(places, values, strict=True):
            _check_unicode(value, place)
    return list(zip(places, values, strict=True))


def _parse(text: str, path: str, line: int) -> Any:
    """Parse one array (`line` is 0) or one line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {line or error.lineno}, column {error.colno}"
        remedy = "; the file must be a JSON array or have one object a line" if line else ""
        raise InputError(f"{path}: {place}: not valid JSON ({error.msg}){remedy}") from None


def _check_unicode(value: dict[str, Any], place: str) -> None:
    try:
        canonical_json(value).encode()
    except UnicodeEncodeError as error:
        fault = error.object[max(0, error.start - 30) : error.end]
        raise InputError(f"{place}: {fault!r} is no valid Unicode; fix its \\u escapes") from None
