"""Planned hours beside those that the rules took, as Snakemake's benchmark files have them.

Invariant: every timing counts once, in its rule's stage or among the others.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from searchtrain.core.errors import InputError

STAGE_RULES = {"index": ("corpus", "index"), "predict_untrained": ("untrained/predict",)}
"""Timings that are a stage's, where they are not just the one of its name."""


def read_timings(folder: Path) -> dict[str, float]:
    """Hours of each job's last run by its path, from Snakemake's benchmark files in a folder."""
    timings = {}
    for file in sorted(folder.rglob("*.tsv")):
        header, *rows = [line.split("\t") for line in file.read_text().splitlines()]
        try:
            seconds = sum(float(row[header.index("s")]) for row in rows)
            timings[file.relative_to(folder).with_suffix("").as_posix()] = seconds / 3600
        except (ValueError, IndexError):
            raise InputError(f"{file}: no benchmark file of Snakemake's; delete it") from None
    return timings


def compare_hours(plan: Mapping[str, Any], timings: Mapping[str, float]) -> list[dict[str, Any]]:
    """Planned and spent hours per stage; the rules that no stage plans stand as `others`."""
    rows, left = [], dict(timings)
    for stage in plan["stages"]:
        rules = STAGE_RULES.get(stage["name"], (stage["name"],))
        hours = [left.pop(rule) for rule in rules if rule in left]
        rows.append(
            {
                "stage": stage["name"],
                "planned_hours": stage["hours"],
                "spent_hours": round(sum(hours), 4) if hours else None,
            }
        )
    others = {"stage": "others", "planned_hours": None, "spent_hours": round(sum(left.values()), 4)}
    return [*rows, others]
