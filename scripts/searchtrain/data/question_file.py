"""Question files as people have them: seeds, dev, test, answers, types.

A question file is the seed task's: a JSON array of `{id, question, golden_answers}`, a test file
the same without answers.
"""

from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.core.errors import InputError
from searchtrain.core.files import read_json
from searchtrain.data.json_rows import check_unicode

QUESTION = pl.Schema(
    {
        "id": pl.String(),
        "question": pl.String(),
        "golden_answers": pl.List(pl.String()),
        "source": pl.String(),
        "exclude_urls": pl.List(pl.String()),
    }
)
ANSWER = pl.Schema({"id": pl.String(), "golden_answers": pl.List(pl.String()), "type": pl.String()})


def load_questions(path: str | Path, answers: bool = True) -> pl.DataFrame:
    """Read a question file; returns its rows in its order, with the columns of `QUESTION`.

    Texts come back trimmed and with single spaces, so train, dev and test read alike; ids as they
    are, a whole number as text. Without `answers` (a test file) `golden_answers` is empty. `source`
    is the row's own, else the file's name without suffix; `exclude_urls` (hosts and URLs that a web
    search may not show for this question) is the row's own, else empty; other fields are ignored.
    Raises InputError naming file, row (the first is 1), id, field, value and remedy.
    """
    path = Path(path)
    rows = [_read_question(row, where, answers, path.stem) for where, row in _load_rows(path)]
    check_unique([row["id"] for row in rows], path)
    return pl.DataFrame(rows, schema=QUESTION)


def load_ids(path: str | Path) -> list[str | int]:
    """The ids of a question file exactly as it has them, in its order."""
    return [row["id"] for _, row in _load_rows(Path(path))]


def load_answers(path: str | Path) -> pl.DataFrame:
    """Read an answer file, an array of `{id, golden_answers, type}`; `type` may be absent."""
    path = Path(path)
    rows: list[dict[str, Any]] = []
    for place, row in _load_rows(path):
        key, where = read_id(row, place)
        answers = _read_answers(row, where)
        kind = row.get("type")
        if kind is not None and not isinstance(kind, str):
            raise InputError(f"{where}: type {kind!r} is not text; write it in quotes")
        rows.append({"id": key, "golden_answers": answers, "type": kind})
    check_unique([row["id"] for row in rows], path)
    return pl.DataFrame(rows, schema=ANSWER)


def load_types(path: str | Path) -> dict[str, str]:
    """Read a type file, an object `{id: type}`."""
    types = read_json(path)
    if not isinstance(types, dict) or not all(isinstance(kind, str) for kind in types.values()):
        raise InputError(f"{path}: expected one JSON object that maps ids to types")
    return types


def _load_rows(path: Path) -> list[tuple[str, Any]]:
    """The rows of a file, each with its place."""
    rows = read_json(path)
    if not isinstance(rows, list):
        kind = "an object" if isinstance(rows, dict) else repr(rows)[:60]
        raise InputError(f"{path}: expected a JSON array of questions, got {kind}")
    if not rows:
        raise InputError(f"{path}: the array holds no questions; give at least one")
    return [(f"{path}: row {number}", row) for number, row in enumerate(rows, 1)]


def _read_question(row: Any, where: str, answers: bool, source: str) -> dict[str, Any]:
    key, where = read_id(row, where)
    return {
        "id": key,
        "question": read_text(_get_field(row, "question", where), f"{where}: question"),
        "golden_answers": _read_answers(row, where) if answers else [],
        "source": read_text(row.get("source", source), f"{where}: source"),
        "exclude_urls": read_texts(row.get("exclude_urls", []), f"{where}: exclude_urls"),
    }


def read_id(row: Any, where: str) -> tuple[str, str]:
    """The id as text, and the place that later messages name."""
    if not isinstance(row, dict):
        raise InputError(f"{where}: expected an object with id and question, got {_show(row)}")
    key = _get_field(row, "id", where)
    if isinstance(key, bool) or not isinstance(key, str | int) or not str(key).strip():
        raise InputError(f"{where}: id {_show(key)} is not usable; give a non-empty text")
    check_unicode(str(key), f"{where}: id")
    return str(key), f"{where} (id {str(key)!r})"


def _read_answers(row: dict[str, Any], where: str) -> list[str]:
    answers, where = _get_field(row, "golden_answers", where), f"{where}: golden_answers"
    if texts := read_texts(answers, where):
        return texts
    raise InputError(f"{where} is empty; give at least one acceptable answer")


def read_texts(values: Any, where: str) -> list[str]:
    """A list of texts as `read_text` gives them; `where` names file, row and field."""
    if not isinstance(values, list):
        raise InputError(f'{where} is {_show(values)}; it must be a list of texts, as ["Paris"]')
    return [read_text(value, where) for value in values]


def read_text(value: Any, where: str) -> str:
    """A text of a row, trimmed and with single spaces; raises InputError when it is none."""
    if not isinstance(value, str):
        raise InputError(f"{where} holds {_show(value)}; it must be text in quotes")
    text = " ".join(value.split())
    if not text:
        raise InputError(f"{where} holds the blank text {value!r}; fill it in or drop the row")
    check_unicode(text, where)
    return text


def _get_field(row: dict[str, Any], name: str, where: str) -> Any:
    if name not in row:
        given = ", ".join(sorted(row)) or "no fields"
        raise InputError(f"{where}: field {name!r} is missing; the row has {given}")
    return row[name]


def check_unique(ids: list[str], path: Path) -> None:
    """Raise InputError when two rows of a file have the same id."""
    seen: dict[str, int] = {}
    for number, key in enumerate(ids, 1):
        if key in seen:
            raise InputError(
                f"{path}: row {number}: id {key!r} is already that of row {seen[key]};"
                " every question needs an id of its own"
            )
        seen[key] = number


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
