"""What the code of a stage does, as a digest: what a rule compares to see whether code changed.

Invariant: only what can decide a result counts. Comments, docstrings and formatting do not; neither
do log lines and the texts of errors for users, nor the modules in `NEUTRAL`, through which no
import is followed. The text of an error that a model is told (`errors.ToldToModel`) counts.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from searchtrain.core.files import digest

LIBRARY = Path(__file__).resolve().parents[1]
PACKAGE = "searchtrain"
NEUTRAL = (
    "agent.setup",
    "agent.validity",
    "config",
    "core",
    "data.schemas",
    "models.client",
    "models.failures",
    "models.identity",
    "models.pool",
    "models.progress",
    "models.purchase",
    "models.request_cache",
    "models.transport",
    "search.index",
    "search.retriever",
    "search.retry",
    "search.self_test",
    "search.server",
    "serving",
    "training.progress",
)
"""Rooms and modules that decide how fast, how dear, with which messages or against which faults
something is done, and not what comes out. A setting counts by its value, a table by its content."""
TOLD_TO_MODEL = ("ProtocolError", "ReplyError")
"""Errors whose text is part of a request (`errors.ToldToModel`)."""
LOG_LEVELS = ("debug", "info", "warning", "error", "exception", "critical")


def digest_modules(modules: Iterable[str], library: Path = LIBRARY) -> str:
    """Digest of modules of the library (`curation.choice`) and of all that they import."""
    return digest(
        {
            file.relative_to(library).as_posix(): digest_file(file)
            for file in list_files(modules, library)
        }
    )


def list_files(modules: Iterable[str], library: Path = LIBRARY) -> list[Path]:
    """The files of modules and of what they import, directly or not, without `NEUTRAL` ones."""
    found: set[Path] = set()
    names = list(modules)
    for name in names:
        if not _find_file(name, library):
            raise ModuleNotFoundError(f"{library}: no module {name}")
    seen: set[str] = set()
    while names:
        name = names.pop()
        if name in seen or is_neutral(name):
            continue
        seen.add(name)
        file = _find_file(name, library)
        if file and file not in found:
            found.add(file)
            names += _list_imports(file.read_text(encoding="utf-8"))
    return sorted(found)


def is_neutral(module: str) -> bool:
    """Whether a module decides no result."""
    return any(module == name or module.startswith(f"{name}.") for name in NEUTRAL)


def digest_file(file: Path) -> str:
    """SHA-256 of what a file's code does."""
    return _digest_code(file.read_text(encoding="utf-8"))


@cache
def _digest_code(text: str) -> str:
    tree = _KeepResults().visit(ast.parse(text))
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def _find_file(module: str, library: Path) -> Path | None:
    path = library.joinpath(*module.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.exists()), None)


@cache
def _list_imports(text: str) -> list[str]:
    """The library's modules that code names in an import, without those for types alone."""
    names: set[str] = set()
    tree = _SkipTypes().visit(ast.parse(text))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    head = f"{PACKAGE}."
    inner = [name.removeprefix(head) for name in names if name.startswith(head)]
    # Importing a.b runs a/__init__.py as well.
    rooms = [name.rpartition(".")[0] for name in inner if "." in name]
    return sorted({*inner, *rooms})


class _SkipTypes(ast.NodeTransformer):
    """Drop `if TYPE_CHECKING:` blocks."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)


class _KeepResults(_SkipTypes):
    """Drop what decides no result: docstrings, log lines, the texts of errors for users."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(node, name, None)
            if isinstance(statements, list):
                kept = [each for each in statements if not (_is_text(each) or _is_log_line(each))]
                if not kept and statements and name == "body" and not isinstance(node, ast.Module):
                    kept = [ast.Pass()]
                setattr(node, name, kept)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """An error for users, raised or not, is its class and what is no text."""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node.func, ast.Name) else name
        if name.endswith("Error") and name not in TOLD_TO_MODEL:
            node.args = node.args[1:]
        self.generic_visit(node)
        return node


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_log_line(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr in LOG_LEVELS
        and isinstance(node.value.func.value, ast.Name)
        and node.value.func.value.id == "logger"
    )
