"""Small tables for the log: aligned plain text, one line a row."""

from collections.abc import Mapping, Sequence
from typing import Any

from searchtrain.core.terminal import show_text

LONGEST = 200
"""Characters of a cell."""


def format_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lay rows out as text; the first row's keys are the header, numbers stand to the right."""
    if not rows:
        return "(no rows)"
    header = list(rows[0])
    cells = [[_format_cell(row.get(name)) for name in header] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    right = [all(_is_number(row.get(name)) for row in rows) for name in header]
    lines = [header, ["-" * width for width in widths], *cells]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _format_cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    return show_text(str(value).replace("\n", "\\n"), LONGEST)


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, int | float)
