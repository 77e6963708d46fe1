"""Planned hours beside those that the rules took, as Snakemake's benchmark files have them.

Invariant: every timing counts once, in its rule's stage or among the others.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from searchtrain.core.errors import InputError
from searchtrain.task.stages import UNTRAINED

STAGE_RULES = {"index": ("corpus", "index"), UNTRAINED: ("untrained/predict",)}
"""Timings that are a stage's, where they are not just the one of its name."""


def read_timings(folder: Path) -> dict[str, float]:
    """Hours of each job's last run by its path, from Snakemake's benchmark files in a folder."""
    return {
        file.relative_to(folder).with_suffix("").as_posix(): read_timing(file)
        for file in sorted(folder.rglob("*.tsv"))
    }


def read_timing(file: Path) -> float:
    """Hours of a job's last run."""
    header, *rows = [line.split("\t") for line in file.read_text().splitlines()]
    try:
        return sum(float(row[header.index("s")]) for row in rows) / 3600
    except (ValueError, IndexError):
        raise InputError(f"{file}: no benchmark file of Snakemake's; delete it") from None


def compare_hours(plan: Mapping[str, Any], timings: Mapping[str, float]) -> list[dict[str, Any]]:
    """Planned and spent hours per stage; the rules that no stage plans stand as `others`."""
    rows, left = [], dict(timings)
    for stage in plan["stages"]:
        name = stage["name"]
        hours = [left.pop(rule) for rule in STAGE_RULES.get(name, (name,)) if rule in left]
        if shards := [rule for rule in left if rule.startswith(f"{name}/")]:
            hours.append(join_shards([left.pop(rule) for rule in shards], stage["servers"]))
        rows.append(
            {
                "stage": name,
                "planned_hours": stage["hours"],
                "spent_hours": round(sum(hours), 4) if hours else None,
            }
        )
    others = {"stage": "others", "planned_hours": None, "spent_hours": round(sum(left.values()), 4)}
    return [*rows, others]


def join_shards(hours: list[float], servers: int) -> float:
    """Wall clock of a stage's shards, of which as many run side by side as there are servers."""
    return max(*hours, sum(hours) / servers) if len(hours) > 1 else hours[0]
