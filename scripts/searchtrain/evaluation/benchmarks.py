"""Published benchmark files as one question file, `benchmarks.json` (SimpleDeepSearcher's `data/`).

Invariant: nothing leaves this module but id, question, golden answers, source, type and the sites
to exclude: worked solutions and annotations (AIME, GAIA, FRAMES) never come near a model.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.core.errors import InputError
from searchtrain.core.text_table import format_table
from searchtrain.data import question_file
from searchtrain.data.answers import normalise_answer
from searchtrain.data.blemishes import Blemishes
from searchtrain.data.file_rows import read_objects
from searchtrain.data.search_r1_row import adapt_row

logger = logging.getLogger(__name__)

COLUMNS = pl.Schema({**question_file.QUESTION, "type": pl.String()})
"""A question with `type`, its benchmark's name."""
FIELDS = {
    "2wiki": "id, Question, answer, source",
    "bamboogle": "id, Question, answer, source",
    "musique": "id, Question, answer, source",
    "frames": "id, Question, answer (or Answer)",
    "gaia": "id, task_id, Question, answer, source",
    "aime": "id, Question, answer",
    "browsecomp": "query_id, query, answer (decrypted)",
}
"""What the published files have of what is read."""
OTHER = "id, question, answer"
"""What the file of any other benchmark has."""
KEY = ("id", "task_id", "query_id")
QUESTION = ("Question", "question", "query")
ANSWERS = ("answer", "golden_answers", "Answer")


def load_benchmark(name: str, path: str | Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Read one benchmark file; returns its rows in its order (`COLUMNS`), and a report.

    The file is a JSON array, JSON Lines or Parquet of one of the shapes in `FIELDS`, of `OTHER`, or
    as Search-R1 prepares it. `id` is
    `<name>/<the row's id, task_id or query_id, else its number>`, `type` the benchmark's name,
    `source` the row's own (GAIA's levels), else the name; an answer that is a plain text is one
    golden answer. What is wrong in single rows is mended or left out, as `question_file` does; the
    second value is the report on it. Raises InputError naming file, row, id, field, value and
    remedy when most rows are of no use.
    """
    if not name or "/" in name or name != name.strip():
        raise InputError(f"data.benchmarks: {name!r} is no name; give a word without a slash")
    blemishes, values = Blemishes(Path(path)), read_objects(path)
    rows = [
        row
        for number, (where, value) in enumerate(values, 1)
        if (row := _read_row(name, number, adapt_row(value), where, blemishes))
    ]
    return pl.DataFrame(rows, schema=COLUMNS), blemishes.finish(len(values))


def load_benchmarks(paths: Mapping[str, str | Path]) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Read several benchmark files (name -> path) into one frame (`COLUMNS`).

    The report has, per benchmark, its file, rows, rows per source, what was wrong in rows
    (`Blemishes.finish`) and `unscorable`; in all,
    `duplicates` (questions with the text of an earlier one: `{id, same_as}`) and `unscorable`: ids
    of questions whose golden answers all normalise to nothing (FRAMES has one, "....-"), so that
    the substring score never finds them and the others compare them as they stand. All are kept.
    """
    if not paths:
        raise InputError("data.benchmarks: no benchmark is given; name at least one file")
    read = {name: load_benchmark(name, path) for name, path in paths.items()}
    frames = {name: part for name, (part, _) in read.items()}
    frame = pl.concat(frames.values())
    unscorable = [key for key, golds in frame.select("id", "golden_answers").iter_rows()
                  if not any(map(normalise_answer, golds))]  # fmt: skip
    report = {
        "rows": frame.height,
        "benchmarks": {
            name: {
                "file": str(paths[name]),
                "rows": part.height,
                "blemishes": read[name][1]["blemishes"],
                "sources": dict(sorted(part["source"].value_counts().iter_rows())),
                "unscorable": sum(key in set(part["id"]) for key in unscorable),
            }
            for name, part in frames.items()
        },
        "duplicates": _find_duplicates(frame),
        "unscorable": unscorable,
    }
    logger.info("%d benchmark questions:\n%s", frame.height, _format_report(report))
    for key in unscorable:
        logger.warning("%s: its golden answer normalises to nothing; it is kept", key)
    return frame, report


def make_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows of `benchmarks.json`, a question file: `{id, question, golden_answers, source,
    type}`, and `exclude_urls` where there are any."""
    return [
        {key: row[key] for key in COLUMNS if key != "exclude_urls" or row[key]}
        for row in frame.iter_rows(named=True)
    ]


def read_benchmarks(path: str | Path) -> pl.DataFrame:
    """Read `benchmarks.json` as `make_rows` laid it out, with the columns of `COLUMNS`."""
    kinds = question_file.load_answers(path)["type"]
    return question_file.load_questions(path).with_columns(kinds)


def _read_row(
    name: str, number: int, row: dict[str, Any], where: str, blemishes: Blemishes
) -> dict[str, Any] | None:
    own = next((row[field] for field in KEY if row.get(field) is not None), number)
    key = question_file.read_id({"id": own}, where, number, blemishes)
    assert key is not None, where
    where = question_file.place(where, key)
    question, answers = (_find_field(name, row, fields, where) for fields in (QUESTION, ANSWERS))
    text = question_file.read_question(row, question, where, blemishes)
    given = row[answers]
    given = [given] if isinstance(given, str) else given  # a plain text is one answer here
    golds = question_file.read_answers({answers: given}, answers, where, blemishes)
    if not text or not golds:
        return None
    return {
        "id": f"{name}/{key}",
        "question": text,
        "golden_answers": golds,
        "source": question_file.read_source(row, name, where, blemishes),
        "exclude_urls": question_file.read_urls(row, where, blemishes),
        "type": name,
    }


def _find_field(name: str, row: dict[str, Any], fields: tuple[str, ...], where: str) -> str:
    """The first of the fields that the row fills; FRAMES has its answer twice."""
    given = [field for field in fields if field in row]
    filled = [field for field in given if row[field] not in (None, [])]
    if given:
        return (filled or given)[0]  # of one that is empty, its own check says what is wrong
    raise InputError(
        f"{where}: field {fields[0]!r} is missing; a row of {name} has"
        f" {FIELDS.get(name, OTHER)}, this one has {', '.join(sorted(row)) or 'no fields'}"
    )


def _find_duplicates(frame: pl.DataFrame) -> list[dict[str, str]]:
    first: dict[str, str] = {}
    pairs = []
    for key, text in frame.select("id", "question").iter_rows():
        same = first.setdefault(text.lower(), key)
        if same != key:
            pairs.append({"id": key, "same_as": same})
    return pairs


def _format_report(report: Mapping[str, Any]) -> str:
    rows = [
        {
            "benchmark": name,
            "rows": part["rows"],
            "unscorable": part["unscorable"],
            "sources": ", ".join(f"{key} {count}" for key, count in part["sources"].items()),
        }
        for name, part in report["benchmarks"].items()
    ]
    return format_table(rows) + f"\n{len(report['duplicates'])} questions stand there twice"
