"""The corpus: passages to search in, one JSON object a line, checked once and then trusted.

What people have is read as it is: JSON Lines, gzip or not, and Parquet, with the rows of
Search-R1's wiki-18 and of FlashRAG's corpora (`adapt_passage`). Invariant: in a corpus that
`build_corpus` wrote every passage has a unique `id`, `contents` of a quoted title, a newline and
text (Search-R1's form), and links only to passages that exist: broken links, which every real
collection has, are dropped and counted.
"""

import gzip
import logging
import zlib
from array import array
from collections.abc import Iterator
from hashlib import blake2b
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
import polars as pl

from searchtrain.core.errors import InputError
from searchtrain.core.files import replace_file
from searchtrain.data.file_rows import is_parquet

logger = logging.getLogger(__name__)

FIELDS = ("id", "contents", "title", "text", "page", "links", "url")
"""Columns of a Parquet file that are read."""
LONGEST_TITLE = 300
"""Characters; a first line that is longer is text, and no title that lacks its quotation marks."""


def build_corpus(source: Path, out: Path) -> int:
    """Check `source` (JSON Lines, gzip if it ends in .gz, or Parquet), write it to `out`; streams.

    Returns the number of passages. Raises InputError naming file, line, field and remedy.
    """
    ids, links, unit = array("q"), array("q"), name_unit(source)
    with replace_file(out) as partial, partial.open("wb") as stream:
        for number, passage in read_rows(source):
            check_passage(passage, f"{source}: {unit} {number}")
            ids.append(shorten(passage["id"]))
            links.extend(shorten(link) for link in passage.get("links") or ())
            stream.write(orjson.dumps(passage) + b"\n")
        if not ids:
            raise InputError(f"{source}: no passages; give one JSON object a line")
        check_unique_ids(source, ids)
        missing = find_missing(ids, links)
        if missing:
            stream.seek(0)
            stream.truncate()
        broken = drop_links(source, stream, missing) if missing else 0
    logger.info("%d passages, %d links", len(ids), len(links) - broken)
    return len(ids)


def read_passages(corpus: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each passage of an uncompressed corpus and the byte offset of its line's end.

    Raises InputError naming file, line, field and remedy.
    """
    end = 0
    with open_lines(corpus) as lines:
        for number, line in enumerate(lines, 1):
            end += len(line)
            passage = parse_row(line, f"{corpus}: line {number}")
            check_passage(passage, f"{corpus}: line {number}")
            yield passage, end


def read_rows(source: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield `(number, passage)` for each line that is not blank, or row of Parquet, counted from 1.

    Passages are in the one form, as far as `adapt_passage` can tell; they are not checked yet.
    """
    rows = read_parquet(source) if is_parquet(source) else read_lines(source)
    for number, row in rows:
        yield number, adapt_passage(row)


def adapt_passage(row: dict[str, Any]) -> dict[str, Any]:
    """A passage as others write it, in the one form; what is in that form already is not touched.

    A whole number as id becomes text; `title` and `text` of a row without `contents` become it; and
    a title without quotation marks, as in FlashRAG's `{title}\\n{text}`, gets them.
    """
    own = row.get("id")
    if isinstance(own, int) and not isinstance(own, bool):
        row["id"] = str(own)
    if row.get("contents") is None and isinstance(row.get("text"), str) and row.get("title"):
        row["contents"] = f"{row.pop('title')}\n{row.pop('text')}"
    contents = row.get("contents")
    if isinstance(contents, str):
        title, newline, text = contents.partition("\n")
        quoted = title.startswith('"') and title.endswith('"')
        if newline and title.strip() and not quoted and len(title) <= LONGEST_TITLE:
            row["contents"] = f'"{title.strip()}"\n{text}'
    return row


def read_parquet(source: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield `(row number, object)` of the columns in `FIELDS`; what is null is not there."""
    number = 0
    try:
        columns = [name for name in FIELDS if name in pl.read_parquet_schema(source)]
        for batch in pl.scan_parquet(source).select(columns).collect_batches():
            for row in batch.iter_rows(named=True):
                number += 1
                yield number, {name: value for name, value in row.items() if value is not None}
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{source}: not a whole Parquet file ({error}); fetch it again") from None


def read_lines(source: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield `(line number, object)` for each line that is not blank."""
    with open_lines(source) as lines:
        try:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, parse_row(line, f"{source}: line {number}")
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(f"{source}: not a whole gzip file ({error}); fetch it again") from None


def name_unit(source: Path) -> str:
    """What the numbers of `read_rows` count, for messages."""
    return "row" if is_parquet(source) else "line"


def check_passage(passage: dict[str, Any], place: str) -> None:
    """Check one passage by itself; raises InputError that begins with `place`."""
    for field in ("id", "contents"):
        value = passage.get(field)
        if not isinstance(value, str) or not value.strip():
            found = repr(value) if field in passage else "nothing"
            raise InputError(f"{place}: {field}: found {found}; give a string that is not empty")
    contents = passage["contents"]
    title, newline, text = contents.partition("\n")
    if not (newline and len(title) > 2 and title[0] == title[-1] == '"' and text.strip()):
        raise InputError(
            f"{place}: contents: {contents[:60]!r} is not a quoted title, a newline and text;"
            ' write "Title"\\ntext'
        )
    links = passage.get("links")
    if links is not None and not (
        isinstance(links, list) and all(isinstance(i, str) for i in links)
    ):
        raise InputError(
            f"{place}: links: {links!r:.60} is not a list of passage ids; fix or drop it"
        )
    url = passage.get("url")
    if url is not None and not isinstance(url, str):
        raise InputError(f"{place}: url: {url!r:.60} is not a string; fix or drop it")


def check_unique_ids(source: Path, ids: "array[int]") -> None:
    """Check over the whole corpus that no id repeats; raises InputError naming both lines.

    Works on 64-bit digests, so that 21 million passages fit; only a fault reads the file again.
    """
    digests, counts = np.unique(np.frombuffer(ids, dtype=np.int64), return_counts=True)
    repeated = set(digests[counts > 1].tolist())
    lines: dict[str, int] = {}
    for number, passage in read_rows(source) if repeated else ():
        name = passage["id"]
        if name in lines:
            unit = name_unit(source)
            raise InputError(
                f"{source}: {unit} {number}: id: {name!r} is already on {unit} {lines[name]};"
                " make it unique"
            )
        if shorten(name) in repeated:
            lines[name] = number


def find_missing(ids: "array[int]", links: "array[int]") -> set[int]:
    """The digests of links that are no passage's."""
    wanted = np.unique(np.frombuffer(links, dtype=np.int64))
    present = np.frombuffer(ids, dtype=np.int64)
    return set(wanted[~np.isin(wanted, present)].tolist())


def drop_links(source: Path, stream: IO[bytes], missing: set[int]) -> int:
    """Write the passages of `source` to `stream` without the links in `missing`.

    Returns how many links were dropped, and warns of them.
    """
    broken, pages, first = 0, 0, ""
    for number, passage in read_rows(source):
        links = passage.get("links") or []
        if lost := [name for name in links if shorten(name) in missing]:
            pages += 1
            broken += len(lost)
            first = first or f"{name_unit(source)} {number} links to {lost[0]!r}"
            passage["links"] = [name for name in links if name not in lost]
        stream.write(orjson.dumps(passage) + b"\n")
    logger.warning(
        "%s: %d links of %d passages lead to no passage and are dropped; the first: %s",
        source, broken, pages, first,
    )  # fmt: skip
    return broken


def shorten(name: str) -> int:
    """A signed 64-bit digest of an id."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


def parse_row(line: bytes, place: str) -> dict[str, Any]:
    """Parse one line; raises InputError that begins with `place`."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{place}: not valid JSON ({error}); fix the line") from None
    if not isinstance(row, dict):
        raise InputError(f"{place}: found {line[:60]!r}; give one JSON object a line")
    return row


def open_lines(path: Path) -> gzip.GzipFile | BufferedReader:
    """Open a file of lines, unpacking gzip; raises InputError when it is not there."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path in the configuration")
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")
