"""Question files as people have them: seeds, dev, test, answers, types.

A question file is the seed task's: a JSON array of `{id, question, golden_answers}`, a test file
the same without answers. JSON Lines of them (FlashRAG's) and Parquet are read as well, and rows as
Search-R1 prepares them. What is wrong in single rows is mended or left out, counted and named
(`blemishes`). Invariant: no row of a test file is left out.
"""

import ast
import contextlib
import json
import logging
import math
import re
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.core.errors import InputError
from searchtrain.core.files import read_json
from searchtrain.data.blemishes import Blemishes
from searchtrain.data.file_rows import Rows, is_unicode, read_values
from searchtrain.data.search_r1_row import adapt_row

logger = logging.getLogger(__name__)

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
NO_QUESTION = "(no question was given)"
"""What is asked for a row of a test file that has none, so that the row keeps its place."""
LISTED = re.compile(r"""\[\s*(["'].*["'])?\s*\]""", re.DOTALL)
"""A list of texts that was written into a text, by JSON or by Python."""
JOINED = re.compile(r"""["']\s+["']""")
"""Texts with no comma between them, as NumPy writes: Python would read them as one."""


def list_rows(path: str | Path) -> Rows:
    """The rows of a question file as they are, of Search-R1's as `adapt_row` makes them."""
    return [(where, adapt_row(row)) for where, row in read_values(path)]


def load_questions(path: str | Path, answers: bool = True) -> pl.DataFrame:
    """The rows of a question file as `read_questions` gives them."""
    return read_questions(path, answers)[0]


def read_questions(
    path: str | Path, answers: bool = True, strict: bool = False
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Read a question file; returns its rows in its order (`QUESTION`), and what was wrong in it.

    Texts come back trimmed and with single spaces, so train, dev and test read alike; ids as they
    are, a number as text. Without `answers` (a test file) `golden_answers` is empty. `source` is
    the row's own, else the file's name without suffix; `exclude_urls` (hosts and URLs that a web
    search may not show for this question) is the row's own, else empty; other fields are ignored.
    The report is that of `Blemishes.finish`. Raises InputError naming file, row (the first is 1),
    id, field, value and remedy: for the first fault where `strict`, when most rows are of no use,
    or when a row of a test file has no id.
    """
    path, values = Path(path), list_rows(path)
    blemishes = Blemishes(path, strict, () if answers else ("no_object", "no_id"))
    rows = [
        row
        for number, (where, value) in enumerate(values, 1)
        if (row := _read_question(value, where, number, answers, path.stem, blemishes))
    ]
    return pl.DataFrame(rows, schema=QUESTION), blemishes.finish(len(values))


def load_ids(path: str | Path) -> list[str | int | float]:
    """The ids of a question file exactly as it has them, in its order; of Search-R1's rows those
    that `adapt_row` makes."""
    return [row["id"] for _, row in list_rows(path)]


def load_answers(path: str | Path) -> pl.DataFrame:
    """Read an answer file, an array of `{id, golden_answers, type}`; `type` may be absent.

    Ids and answers are read as `read_questions` reads them.
    """
    blemishes, values = Blemishes(Path(path), strict=False), list_rows(path)
    rows: list[dict[str, Any]] = []
    for number, (where, row) in enumerate(values, 1):
        key = read_id(row, where, number, blemishes)
        if key and (answers := read_answers(row, "golden_answers", place(where, key), blemishes)):
            rows.append({"id": key, "golden_answers": answers, "type": _find_text(row.get("type"))})
    blemishes.finish(len(values))
    return pl.DataFrame(rows, schema=ANSWER)


def load_types(path: str | Path) -> dict[str, str]:
    """Read a type file, an object `{id: type}`; a type that is no text is left out."""
    types = read_json(path)
    if not isinstance(types, dict):
        raise InputError(f"{path}: expected one JSON object that maps ids to types")
    texts = {key: kind for key, kind in types.items() if isinstance(kind, str)}
    if len(texts) < len(types):
        logger.warning("%s: %d types are no text: left out", path, len(types) - len(texts))
    return texts


def read_id(row: Any, where: str, number: int, blemishes: Blemishes) -> str | None:
    """The id of a row as text, unlike those of earlier rows: `row-<number>` of a row without a
    usable one, None of one that is no object."""
    if not isinstance(row, dict):
        fault = f": expected an object with id and question, got {_show(row)}"
        blemishes.add("no_object", where, fault)
        return None
    value = row.get("id")
    text = value if isinstance(value, str) and value.strip() and is_unicode(value) else None
    key = text or _spell_number(value)
    if key is None:
        key, fault = f"row-{number}", f": id {_show(value)} is not usable; give a non-empty text"
        blemishes.add("no_id", where, fault if "id" in row else _explain_missing(row, "id"))
    return blemishes.tell_apart(key, where)


def read_question(
    row: dict[str, Any], field: str, where: str, blemishes: Blemishes, keep: bool = False
) -> str | None:
    """The question of a row; None for a row without one, or `NO_QUESTION` if the row is to `keep`.

    `where`: as from `place`.
    """
    if text := _find_text(row.get(field)):
        return text
    fault = f": {field} is {_show(row.get(field))}; it must be text in quotes"
    fault = fault if field in row else _explain_missing(row, field)
    blemishes.add("unasked" if keep else "no_question", where, fault)
    return NO_QUESTION if keep else None


def read_answers(row: dict[str, Any], field: str, where: str, blemishes: Blemishes) -> list[str]:
    """The usable golden answers of a row; `where`: as from `place`."""
    values, about = row.get(field), f"{where}: {field}"
    if isinstance(values, str):
        fault = f' is {_show(values)}; it must be a list of texts, as ["Paris"]'
        blemishes.add("text_answers", about, fault)
        values = _split_answers(values)
    answers: list[str] = []
    given = values if isinstance(values, list) else [values]
    for value in [] if values is None else given:
        text, number = _find_text(value), _spell_number(value)
        if not text:
            kind = "number_answer" if number else "blank_answer"
            kind = kind if number or _is_blank(value) else "unusable_answer"
            blemishes.add(kind, about, f" holds {_show(value)}; it must be text in quotes")
        answers += filter(None, [text or number])
    if not answers:
        fault = f": {field} is empty; give at least one acceptable answer"
        fault = fault if field in row else _explain_missing(row, field)
        blemishes.add("no_answer", where, fault)
    return answers


def read_source(row: dict[str, Any], name: str, where: str, blemishes: Blemishes) -> str:
    """Where a row says that it came from; `name` where it says nothing."""
    value = row.get("source")
    if text := _find_text(value) or _spell_number(value):
        return text
    if value is not None:
        fault = f": source holds {_show(value)}; it must be text in quotes"
        blemishes.add("unusable_source", where, fault)
    return name


def read_urls(row: dict[str, Any], where: str, blemishes: Blemishes) -> list[str]:
    """The hosts and URLs that a row excludes."""
    values = row.get("exclude_urls") or []
    texts = []
    for value in values if isinstance(values, list) else [values]:
        if text := _find_text(value):
            texts.append(text)
        else:
            fault = f": exclude_urls holds {_show(value)}; it must be text in quotes"
            blemishes.add("unusable_url", where, fault)
    return texts


def place(where: str, key: str) -> str:
    """Where a row stands, with its id."""
    return f"{where} (id {key!r})"


def _read_question(
    row: Any, where: str, number: int, answers: bool, source: str, blemishes: Blemishes
) -> dict[str, Any] | None:
    key = read_id(row, where, number, blemishes)
    if key is None:
        return None
    where = place(where, key)
    question = read_question(row, "question", where, blemishes, keep=not answers)
    golds = read_answers(row, "golden_answers", where, blemishes) if answers and question else []
    if not question or (answers and not golds):
        return None
    return {
        "id": key,
        "question": question,
        "golden_answers": golds,
        "source": read_source(row, source, where, blemishes),
        "exclude_urls": read_urls(row, where, blemishes),
    }


def _find_text(value: Any) -> str | None:
    """A value as text, trimmed and with single spaces; None when it is no text, or a blank one."""
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return text if text and is_unicode(text) else None


def _spell_number(value: Any) -> str | None:
    """A number as people write it, 3.0 as 3; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return str(int(value)) if value == int(value) else str(value)


def _is_blank(value: Any) -> bool:
    """Whether a value is what tools write where there is nothing."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _split_answers(text: str) -> list[Any]:
    """The answers of a text that stands where a list belongs: the list in it, else the text."""
    if not LISTED.fullmatch(text.strip()):
        return [text]
    for parse in (json.loads, ast.literal_eval):
        # Python joins texts that no comma parts, as NumPy writes them.
        if parse is json.loads or not JOINED.search(text):
            with contextlib.suppress(ValueError, SyntaxError):
                return list(parse(text.strip()))
    return []


def _explain_missing(row: dict[str, Any], name: str) -> str:
    given = ", ".join(sorted(row)) or "no fields"
    return f": field {name!r} is missing; the row has {given}"


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
