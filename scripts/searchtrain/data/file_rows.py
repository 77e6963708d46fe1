"""Rows of a data file that others wrote: Parquet, a JSON array or JSON Lines, told apart by its
first sign.

Invariant: every row comes with its place in the file, for messages.
"""

import json
import re
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.core.errors import InputError
from searchtrain.core.files import canonical_json, read_text

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
PARQUET = b"PAR1"
"""How every Parquet file begins."""

Rows = list[tuple[str, Any]]
"""`(place, value)` for each row."""


def read_objects(path: str | Path) -> list[tuple[str, dict[str, Any]]]:
    """Read every object of the file as `(place, object)`, as `read_values` does.

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


def read_values(path: str | Path) -> Rows:
    """Read every row of the file as `(place, value)`; a byte order mark does no harm.

    `place` is `<file>: line <number>` in JSON Lines and else `<file>: row <number>`, both counted
    from 1. Raises InputError naming file, place and fault.
    """
    return _read(path)[1]


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet, whatever its name."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(PARQUET)) == PARQUET


def is_unicode(text: str) -> bool:
    """Whether there is no half of a surrogate pair, which JSON may escape and no file can store."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def _read(path: str | Path) -> tuple[str, Rows]:
    """The file's text (empty of Parquet) and its rows, of which there is at least one."""
    if is_parquet(Path(path)):
        text, rows = "", _read_parquet(path)
    else:
        text = read_text(path, "a JSON array, JSON Lines or Parquet", "utf-8-sig")
        rows = _read_json(text, path)
    if not rows:
        raise InputError(f"{path}: the file holds no rows; give at least one")
    return text, rows


def _read_json(text: str, path: str | Path) -> Rows:
    if text.lstrip().startswith("["):
        return [(f"{path}: row {n}", row) for n, row in enumerate(_parse(text, path, 0), 1)]
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    return [(f"{path}: line {n}", _parse(line, path, n)) for n, line in lines]


def _read_parquet(path: str | Path) -> Rows:
    try:
        frame = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: not a whole Parquet file ({error}); fetch it again") from None
    return [(f"{path}: row {n}", row) for n, row in enumerate(frame.iter_rows(named=True), 1)]


def _parse(text: str, path: str | Path, line: int) -> Any:
    """Parse one array (`line` is 0) or one line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {line or error.lineno}, column {error.colno}"
        remedy = "; the file must be a JSON array or have one object a line" if line else ""
        raise InputError(f"{path}: {place}: not valid JSON ({error.msg}){remedy}") from None
