"""What a program imports of this project, directly or not."""

import ast
from functools import cache
from pathlib import Path


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


@cache
def list_names(file: Path) -> frozenset[str]:
    """The modules that a file names in an import, and what it takes from them, dotted."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


@cache
def _list_imports(file: Path, root: Path) -> list[Path]:
    names = list_names(file)
    paths = []
    for name in names:
        parts = name.split(".")
        # Importing a.b.c runs a/__init__.py and a/b/__init__.py as well.
        for depth in range(1, len(parts) + 1):
            path = root.joinpath(*parts[:depth])
            paths += [path.with_suffix(".py"), path / "__init__.py"]
    return [path for path in paths if path.exists()]
