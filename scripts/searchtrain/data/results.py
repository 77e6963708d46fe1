"""A folder of results as one looks things up in it: its settings, its tables' rows by key.

Invariant: nothing is written, nothing is validated (whoever made a table did), and of a table only
the rows asked for are kept; what is not there has no rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.config import Config, read_config
from searchtrain.core.errors import InputError
from searchtrain.core.files import read_json

SETTINGS_FILE = "config.json"
"""What the settings of a run differ in from the defaults; written when a run begins."""
PLACES = ("", "rounds/*/", "trials/*/", "pilot/", "grpo/", "untrained/")
"""Where results of one kind may lie: of the product, of a round, a candidate, …"""
ROW = "row"
"""The column that says which row of its table one is, from 0."""
NEAR = 100
"""Rows that are read together."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """One folder of results."""

    folder: Path

    @cached_property
    def settings(self) -> dict[str, Any] | None:
        """What the latest run's settings differ in from the defaults; None when an earlier version
        of this program made the folder."""
        values: dict[str, Any] | None = self.read("", SETTINGS_FILE)
        return values

    @cached_property
    def config(self) -> Config:
        """The settings of the latest run; the defaults where nobody wrote them down."""
        return read_config(self.settings or {})

    def path(self, place: str, name: str) -> Path:
        """Where a file of a place is."""
        return self.folder / place / name

    def resolve(self, file: str) -> Path:
        """A file that the config names, which may lie below the results."""
        return Path(file.replace("<results>", str(self.folder)))

    def list_places(self, name: str) -> list[str]:
        """The places that have a file of this name, the product's first."""
        found = [path for each in PLACES for path in sorted(self.folder.glob(each + name))]
        return [str(path.relative_to(self.folder)).removesuffix(name) for path in found]

    def read(self, place: str, name: str) -> Any | None:
        """The value of a JSON file; None when it is not there."""
        path = self.path(place, name)
        return read_json(path) if path.is_file() else None

    def find(
        self, place: str, name: str, columns: Sequence[str] = (), **values: str
    ) -> list[Row] | None:
        """The rows of a table that have these values, each with its number in `ROW`.

        `columns`: those that are wanted; none: all. None when the table is not there.
        """
        frame = self._scan(place, name)
        if frame is None:
            return None
        matching = [pl.col(column) == value for column, value in values.items()]
        numbers = frame.with_row_index(ROW).filter(*matching).select(ROW).collect()[ROW].to_list()
        # By their numbers, so that of the wide columns little else is read. Rows of one question
        # stand together.
        wanted = frame.select(columns) if columns else frame
        found: list[Row] = []
        while numbers:
            first = numbers[0]
            near = [each for each in numbers if each - first < NEAR]
            rows = wanted.slice(first, near[-1] - first + 1).collect()
            found += [{ROW: each, **rows.row(each - first, named=True)} for each in near]
            numbers = numbers[len(near) :]
        return found

    def read_row(self, place: str, name: str, number: int, columns: Sequence[str]) -> Row | None:
        """One row of a table by its number; None when there is none."""
        frame = self._scan(place, name)
        rows = [] if frame is None else frame.slice(number, 1).select(columns).collect().to_dicts()
        return rows[0] if rows else None

    def count(self, place: str, name: str) -> int:
        """How many rows a table has; 0 when it is not there."""
        frame = self._scan(place, name)
        return 0 if frame is None else int(frame.select(pl.len()).collect().item())

    def list_values(self, place: str, name: str, column: str = "id") -> list[str]:
        """A column of a table."""
        frame = self._scan(place, name)
        return [] if frame is None else frame.select(column).collect()[column].to_list()

    def _scan(self, place: str, name: str) -> pl.LazyFrame | None:
        path = self.path(place, name)
        if not path.is_file():
            return None
        frame = pl.scan_parquet(path)
        try:
            frame.collect_schema()
        except pl.exceptions.ComputeError as error:
            raise InputError(f"{path}: not a Parquet file ({error}); rebuild it") from None
        return frame
