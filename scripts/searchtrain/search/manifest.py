"""What an index was built from; a mismatch is an error and never a wrong answer.

Invariant: an index answers only for the corpus, the engine and the engine's version in its
`manifest.json`. The corpus is known by its SHA-256; as reading 13 GB at each start takes a minute,
a file with the size and the modification time (in nanoseconds) that the hashed one had is taken
for it, as rsync and make do. Any other file is hashed. That time is the manifest's own and stands
nowhere in it, so equal corpora have equal manifests.
"""

import os
from pathlib import Path
from typing import Any

from searchtrain.core.errors import InputError
from searchtrain.core.files import hash_file, read_json, write_json

MANIFEST = "manifest.json"
REMEDY = "rebuild it with `snakemake --forcerun index`"


def write_manifest(index: Path, entries: dict[str, Any], mtime_ns: int) -> None:
    """Write an index's manifest; `mtime_ns` is the corpus's, from before it was hashed."""
    write_json(entries, index / MANIFEST)
    os.utime(index / MANIFEST, ns=(mtime_ns, mtime_ns))


def read_manifest(index: Path, corpus: Path, engine: str, version: str) -> dict[str, Any]:
    """Read an index's manifest and check that this program and corpus can use it."""
    if not corpus.is_file():
        raise InputError(
            f"{corpus}: no such file; the index {index} needs the corpus it was built from"
        )
    manifest = load_manifest(index)
    path = index / MANIFEST
    for key, expected in (("engine", engine), ("version", version)):
        if manifest.get(key) != expected:
            raise InputError(
                f"{path}: built with {key} {manifest.get(key)!r}, this is {expected!r}; {REMEDY}"
            )
    status = corpus.stat()
    if manifest.get("corpus_bytes") != status.st_size or (
        path.stat().st_mtime_ns != status.st_mtime_ns
        and manifest.get("corpus_sha256") != hash_file(corpus)
    ):
        raise InputError(f"{path}: built from another corpus than {corpus}; {REMEDY}")
    return manifest


def load_manifest(index: Path) -> dict[str, Any]:
    """The manifest of an index, unchecked; raises InputError when the folder has none."""
    path = index / MANIFEST
    if not path.is_file():
        raise InputError(f"{index}: not an index ({MANIFEST} is missing); {REMEDY}")
    manifest = read_json(path)
    if not isinstance(manifest, dict):
        raise InputError(f"{path}: not a manifest; {REMEDY}")
    return manifest
