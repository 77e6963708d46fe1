"""The corpus: passages to search in, one JSON object a line, checked once and then trusted.

Invariant: in a corpus that `build_corpus` wrote every passage has a unique `id`, `contents` of a
quoted title, a newline and text (Search-R1's form), and links only to passages that exist: broken
links, which every real collection has, are dropped and counted.
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

from searchtrain.core.errors import InputError
from searchtrain.core.files import replace_file

logger = logging.getLogger(__name__)


def build_corpus(source: Path, out: Path) -> int:
    """Check `source` (JSON lines, gzip if it ends in .gz) and write it to `out`; streams.

    Returns the number of passages. Raises InputError naming file, line, field and remedy.
    """
    ids, links = array("q"), array("q")
    with replace_file(out) as partial, partial.open("wb") as stream:
        for number, passage in read_rows(source):
            check_passage(passage, f"{source}: line {number}")
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
    """Yield `(line number, object)` for each line that is not blank."""
    with open_lines(source) as lines:
        try:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, parse_row(line, f"{source}: line {number}")
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(f"{source}: not a whole gzip file ({error}); fetch it again") from None


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
            raise InputError(
                f"{source}: line {number}: id: {name!r} is already on line {lines[name]};"
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
            first = first or f"line {number} links to {lost[0]!r}"
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
