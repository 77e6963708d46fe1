"""What is wrong in single rows of a file that others made: mended or left out, counted and named.

Invariant: nothing of a file is changed or left out in silence.
"""

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

from searchtrain.core.errors import InputError

logger = logging.getLogger(__name__)

KINDS = {
    "number_answer": "an answer is a number: taken as text",
    "text_answers": "golden_answers is one text and no list: its answers are taken",
    "blank_answer": "an answer is blank or null: left out",
    "unusable_answer": "an answer is no text: left out",
    "unusable_source": "source is no text: the file's name is taken",
    "unusable_url": "one of exclude_urls is no text: left out",
    "repeated_id": "the id is an earlier row's: a number is added",
    "no_id": "there is no usable id: the row's number is taken",
    "no_object": "the row is no object: left out",
    "no_question": "there is no usable question: left out",
    "no_answer": "there is no usable answer: left out",
    "unasked": "there is no usable question: the row keeps its place, with a question that says so",
}
"""Kind of a blemish -> what it is and what is done about it."""
DROPPING = ("no_object", "no_question", "no_answer")
"""Kinds that cost the row."""
MOST_DROPPED = 0.5
"""Of the rows; if more have to be left out, the file is not what it should be."""
SHOWN = 3
"""Places that a warning names of each kind."""


class Blemishes:
    """Those of one file; the first is an error where `strict`, or of a `fatal` kind."""

    def __init__(self, path: Path, strict: bool = False, fatal: Collection[str] = ()) -> None:
        self.path = path
        self.fatal = KINDS if strict else fatal
        self.places: dict[str, list[str]] = {}
        """Kind -> where."""
        self._ids: dict[str, tuple[str, int]] = {}
        """Id -> the row that has it, and the last number added to it."""
        self._fault = ""
        """The first fault that cost a row, as an error says it."""

    def add(self, kind: str, where: str, fault: str) -> None:
        """Note one; `where` (as in messages, with the file) and `fault` (with the remedy) together
        are the message of the InputError if it is one."""
        if kind in self.fatal:
            raise InputError(where + fault)
        if kind in DROPPING:
            self._fault = self._fault or where + fault
        self.places.setdefault(kind, []).append(self._shorten(where))

    def tell_apart(self, key: str, where: str) -> str:
        """The id of the row at `where`; if earlier rows have it with a number, as `a~2`."""
        own = key
        while own in self._ids:
            first, number = self._ids[key]
            self._ids[key] = (first, number + 1)
            own = f"{key}~{number + 1}"
        self._ids[own] = (self._shorten(where), 1)
        if own != key:
            fault = f": id {key!r} is already that of {self._ids[key][0]}"
            self.add("repeated_id", where, f"{fault}; every question needs an id of its own")
        return own

    def finish(self, rows: int) -> dict[str, Any]:
        """Once `rows` are read: log a warning for each kind; returns the file's part of a report.

        Raises InputError when most rows were of no use.
        """
        dropped = sum(len(self.places.get(kind, [])) for kind in DROPPING)
        if dropped > MOST_DROPPED * rows:
            more = f" ({dropped} of {rows} rows are of no use)" if rows > 1 else ""
            raise InputError(self._fault + more)
        for kind, places in self.places.items():
            more = ", …" if len(places) > SHOWN else ""
            logger.warning(
                "%s: in %d of %d rows %s (%s%s)",
                self.path, len(places), rows, KINDS[kind], "; ".join(places[:SHOWN]), more,
            )  # fmt: skip
        return {
            "file": str(self.path),
            "rows": rows,
            "usable": rows - dropped,
            "blemishes": {
                kind: {"what": KINDS[kind], "count": len(places), "rows": places}
                for kind, places in self.places.items()
            },
        }

    def _shorten(self, where: str) -> str:
        return where.removeprefix(f"{self.path}: ")
