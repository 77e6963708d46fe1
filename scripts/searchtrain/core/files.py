"""Whole-file input and output: a reader names the fault, a writer never leaves half a file."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from searchtrain.core.errors import InputError


@contextmanager
def replace_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """Yield where the new folder is to be made; it takes the place of `path` once the block
    succeeds."""
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    yield partial
    shutil.rmtree(path, ignore_errors=True)
    partial.replace(path)


def read_text(path: str | Path, holds: str, encoding: str = "utf-8") -> str:
    """Read a text file that must hold something; `holds` says what, for the message.

    Raises InputError when it is not there, no UTF-8, or blank.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding=encoding)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path in the configuration") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    if not text.strip():
        raise InputError(f"{path}: the file is empty; it must hold {holds}")
    return text


def read_json(path: str | Path) -> Any:
    """Read a JSON file, a byte order mark doing no harm; raises InputError that names the file, the
    line and the fault."""
    text = read_text(path, "JSON", "utf-8-sig")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: line {error.lineno}, column {error.colno}: not valid JSON ({error.msg})"
        ) from None


def write_json(value: Any, path: str | Path) -> None:
    """Write `value` as indented UTF-8 JSON, atomically."""
    write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", path)


def write_text(text: str, path: str | Path) -> None:
    """Write a UTF-8 text file, atomically."""
    with replace_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_jsonl(rows: Iterable[Mapping[str, Any]], path: str | Path) -> None:
    """Write rows as UTF-8 JSON Lines, atomically."""
    with replace_file(path) as partial, partial.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_jsonl(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield `(line number, object)`; raises InputError that names the file, line and fault."""
    path = Path(path)
    try:
        lines = path.open(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path in the configuration") from None
    with lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{path}: line {number}: not valid JSON ({error.msg})") from None
            if not isinstance(row, dict):
                raise InputError(
                    f"{path}: line {number}: expected a JSON object, got {line[:60]!r}"
                )
            yield number, row


def link_tree(source: Path, target: Path) -> None:
    """Hard-link a file or a folder's files, times kept; copy where links are not possible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link_file)
    else:
        _link_file(source, target)


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no white space: equal values give equal text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def digest(value: Any) -> str:
    """SHA-256 over the canonical JSON of `value`, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _link_file(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
