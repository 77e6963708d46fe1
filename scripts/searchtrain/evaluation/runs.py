"""Several runs side by side: how many rows each step left, what it cost, which settings differ.

Invariant: a step that a run does not have is empty and never 0, and settings that decide no result
are told apart from those that do.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from searchtrain.config import read_config
from searchtrain.core.errors import InputError
from searchtrain.core.text_table import format_table
from searchtrain.data.results import Results
from searchtrain.evaluation.comparison import (
    compare_folders,
    format_comparison,
    list_differences,
)

SCORED = ("scores.parquet", "metrics.json")
"""What a run has that is scored."""
SPENDING = (
    "trees", "written_trees", "tree_questions", "trajectories", "shortcuts", "equivalents", "judge",
)  # fmt: skip
"""Stages whose `<name>_report.json` says what their models cost."""
OWN = ("pathvars", "cache")
"""Settings that say where a run is, and nothing else."""
LONGEST = 36
"""Characters of a setting that are shown."""

Run = tuple[str, Results]
"""What a run is called, and its folder."""


def compare_runs(
    folders: Sequence[Path], splits: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Folders of results side by side: `folders` by name (a, b, …), `funnel` as from `make_funnel`,
    `settings` as from `compare_settings`, `scores`: each later run that is scored -> what
    `compare_folders` says of the first and of it.

    `splits`: as for `compare_folders`; one folder is then compared with itself. Raises InputError
    for a folder that is not there, for fewer than two, and for runs without a question in common.
    """
    if len(folders) == 1 and splits:
        folders = [folders[0], folders[0]]
    if not 2 <= len(folders) <= len(ascii_lowercase):
        raise InputError(f"comparison: {len(folders)} folder; give two or more, or --splits")
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of results; build it")
    runs = [(name, Results(each)) for name, each in zip(ascii_lowercase, folders, strict=False)]
    scored = [name for name, each in runs if all(each.path("", file).is_file() for file in SCORED)]
    first = runs[0][0]
    return {
        "folders": {name: str(results.folder) for name, results in runs},
        "funnel": make_funnel(runs),
        "settings": compare_settings(runs),
        "scores": {
            name: compare_folders(folders[0], results.folder, splits)
            for name, results in runs[1:]
            if first in scored and name in scored
        },
        "unscored": [name for name, _ in runs if name not in scored],
    }


def format_runs(report: Mapping[str, Any]) -> str:
    """The report as text."""
    first = next(iter(report["folders"]))
    lines = [f"{name}: {folder}" for name, folder in report["folders"].items()]
    lines += ["", format_funnel(report["funnel"]), "", *format_settings(report["settings"])]
    for name, found in report["scores"].items():
        lines += [format_comparison(found, (first, name)), ""]
    if report["unscored"]:
        lines.append(f"not scored yet: {', '.join(report['unscored'])}")
    return "\n".join(lines).rstrip()


def make_funnel(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """A row per step, `step` and each run's number under its name; None where it has none."""
    columns = {name: _count_steps(results) for name, results in runs}
    steps = dict.fromkeys(step for counts in columns.values() for step in counts)
    rows = [
        {"step": step, **{name: counts.get(step) for name, counts in columns.items()}}
        for step in steps
    ]
    return [row for row in rows if any(row[name] is not None for name in columns)]


def compare_settings(runs: Sequence[Run]) -> dict[str, Any]:
    """What differs in the settings of runs.

    Returns `deciding` and `others` (those that only say how fast, how dear or where): dotted name
    -> each run's value, in the order of `runs`; and `unknown`: the runs that noted none.
    """
    known = {name: results.settings for name, results in runs if results.settings is not None}
    configs = [read_config(values) for values in known.values()]
    deciding = list_differences([config.decide() for config in configs])
    different = list_differences([config.model_dump() for config in configs])
    others = {
        key: values
        for key, values in different.items()
        if key not in deciding and key.partition(".")[0] not in OWN
    }
    return {
        "runs": list(known),
        "deciding": deciding,
        "others": others,
        "unknown": [name for name, _ in runs if name not in known],
    }


def format_funnel(funnel: Sequence[Mapping[str, Any]]) -> str:
    """The funnel as text."""
    return format_table(
        [
            {key: f"{value:,}" if isinstance(value, int) else value for key, value in row.items()}
            for row in funnel
        ]
    )


def format_settings(found: Mapping[str, Any]) -> list[str]:
    """The settings that differ, as lines."""
    lines = []
    for kind, title in (("deciding", "settings that differ:"),
                        ("others", "settings that differ and change no result:")):  # fmt: skip
        rows = [
            {"setting": key, **dict(zip(found["runs"], map(_show, values), strict=True))}
            for key, values in found[kind].items()
        ]
        lines += [title, format_table(rows), ""] if rows else []
    if not found["deciding"] and len(found["runs"]) > 1:
        lines += ["no setting that decides a result differs", ""]
    if found["unknown"]:
        lines += [f"no settings are noted (config.json): {', '.join(found['unknown'])}", ""]
    return lines


def _count_steps(results: Results) -> dict[str, Any]:
    seeds = results.read("", "seeds_report.json") or {}
    yields = results.read("", "yield.json") or {}
    rollouts = results.list_places("trajectories.parquet")
    reports = [
        report
        for name in SPENDING
        for place in results.list_places(f"{name}_report.json")
        if place != "pilot/" and (report := results.read(place, f"{name}_report.json"))
    ]
    written = [
        report["tokens"] for report in reports if "rollouts" in report and "tokens" in report
    ]
    spent = [each.get("dollars", 0) for report in reports for each in _list_models(report)]
    right = yields.get("em_strict")
    return {
        "questions given": seeds.get("rows_in"),
        "seeds": seeds.get("rows_out"),
        "tagged": _count(results, "tagged.parquet"),
        "sampled": _count(results, "sampled.parquet"),
        "trees": _count(results, "trees.parquet"),
        "tree questions kept": (results.read("", "tree_questions_report.json") or {}).get("kept"),
        "questions": _count(results, "questions.parquet"),
        "rollouts": _sum(results.count(each, "trajectories.parquet") for each in _drop(rollouts)),
        "right": None if right is None else round(right * yields["rollouts"]),
        "kept": _sum(
            results.count(each, "curated.parquet")
            for each in _drop(results.list_places("curated.parquet"))
        ),
        "records": _count_records(results),
        "tokens read": _sum(each["prompt"] for each in written),
        "tokens written": _sum(each["completion"] for each in written),
        "dollars paid": _sum(spent),
    }


def _count_records(results: Results) -> int | None:
    """The records of the last round's data set, which the student learns from."""
    places = [each for each in results.list_places("sft_report.json") if "trials/" not in each]
    rounds = sorted(_drop(places), key=lambda place: int(place.split("/")[1]) if place else 1)
    report = results.read(rounds[-1], "sft_report.json") if rounds else None
    return report["records"] if report else None


def _drop(places: Sequence[str]) -> list[str]:
    """The places of a run's own rollouts: a pilot's are made again."""
    return [each for each in places if each != "pilot/"]


def _count(results: Results, name: str) -> int | None:
    return results.count("", name) if results.path("", name).is_file() else None


def _sum(values: Any) -> Any:
    """A sum; None of nothing."""
    numbers = list(values)
    return round(sum(numbers), 6) if numbers else None


def _list_models(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a report says of the models that a stage asked; a judge's stands in the report."""
    return [*report["models"].values()] if "models" in report else [report]


def _show(value: Any) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
