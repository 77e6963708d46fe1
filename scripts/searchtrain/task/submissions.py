"""The task's submissions side by side, as their folders of results have them.

A submission is a folder with `metrics.json`, `scores.parquet`, `test.json` and `sft_dataset.json`.
Invariant: one that is not built has a row, too, which says how to build it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.core.errors import InputError
from searchtrain.core.files import hash_file, read_json
from searchtrain.core.text_table import format_table
from searchtrain.data.results import Results
from searchtrain.data.schemas import Scores, read_table
from searchtrain.evaluation.comparison import compare_scores, judge_interval
from searchtrain.evaluation.runs import (
    compare_settings,
    format_funnel,
    format_settings,
    make_funnel,
)
from searchtrain.task.submitted import FILES

DEV = ("em_strict", "em_normalised", "f1", "mean_searches")


def compare_submissions(folders: Mapping[str, str], commands: Mapping[str, str]) -> dict[str, Any]:
    """`submissions.json`: a row per submission, the best of them on dev, and which are the same.

    Beside them stand the funnel and the settings that differ, as `scripts/compare.py` has them.
    `folders`: name -> folder of results; `commands`: name -> command that builds it. The best has
    the highest strict exact match on dev, then the highest normalised, then F1; several when all
    three are equal. `behind`: how far the best is ahead of each on dev (mean, low and high of the
    paired bootstrap over dev's questions); what is `undecided` may be as good: its interval holds
    0. Raises InputError when none is built, or they have not answered the same dev.
    """
    if not folders:
        raise InputError("task.submissions: empty; name submissions and their folders of results")
    rows = [
        _read_submission(name, Path(folder), commands[name]) for name, folder in folders.items()
    ]
    built = [row for row in rows if not row["missing"]]
    if not built:
        raise InputError(
            "task.submissions: none is built: "
            + "; ".join(f"{name}: {commands[name]}" for name in folders)
        )
    scores = {row["name"]: [row["dev"][score] for score in DEV[:3]] for row in built}
    best = [name for name, own in scores.items() if own == max(scores.values())]
    behind = _measure_lead(best[0], built)
    runs = [(row["name"], Results(Path(row["folder"]))) for row in built]
    return {
        "submissions": [{**row, "behind": behind.get(row["name"])} for row in rows],
        "best": best,
        "undecided": [
            name
            for name, lead in behind.items()
            if name not in best and judge_interval(lead) != "b"
        ],
        "same_training_data": _find_equal(built, "training_data"),
        "same_answers": _find_equal(built, "answers"),
        "funnel": make_funnel(runs),
        "settings": compare_settings(runs),
    }


def format_submissions(report: Mapping[str, Any]) -> str:
    """The report as text."""
    rows = [
        {
            "submission": row["name"],
            "dev EM strict": row["dev"].get("em_strict"),
            "best is ahead by": _describe_lead(row["behind"]),
            "dev EM normalised": row["dev"].get("em_normalised"),
            "dev F1": row["dev"].get("f1"),
            "searches": row["dev"].get("mean_searches"),
            "records": row["records"],
            "data": (row["training_data"] or "-")[:8],
            "answers": (row["answers"] or "-")[:8],
            "test.json": _describe_test(row),
        }
        for row in report["submissions"]
    ]
    lines = [format_table(rows), "", f"Best on dev: {' and '.join(report['best'])}."]
    if report["undecided"]:
        lines.append(
            f"Dev does not tell it from {' and '.join(report['undecided'])}: the interval of 95 %"
            " of the difference holds 0."
        )
    lines += [
        f"The same {what}: {', '.join(names)}; the task asks for submissions with different"
        " training data."
        for what in ("training data", "answers")
        for names in report[f"same_{what.replace(' ', '_')}"]
    ]
    lines += [
        f"{row['name']}: {', '.join(row['missing'])} not there; build it: {row['command']}"
        for row in report["submissions"]
        if row["missing"]
    ]
    lines += ["", format_funnel(report["funnel"]), "", *format_settings(report["settings"])]
    return "\n".join(lines).rstrip()


def _read_submission(name: str, folder: Path, command: str) -> dict[str, Any]:
    missing = [str(folder / file) for file in FILES if not (folder / file).exists()]
    row: dict[str, Any] = {
        "name": name,
        "folder": str(folder),
        "missing": missing,
        "dev": {},
        **dict.fromkeys(("records", "training_data", "answers", "test_json")),
        "command": command if missing else None,
    }
    if missing:
        return row
    metrics = read_json(folder / "metrics.json")
    try:
        row["dev"] = {score: metrics["dev"][score] for score in DEV}
        row["test_json"] = metrics["test_json"]
    except KeyError as error:
        raise InputError(
            f"{folder / 'metrics.json'}: has no {error}; delete it and build the submission again"
        ) from None
    return row | {
        "records": len(read_json(folder / "sft_dataset.json")),
        "training_data": hash_file(folder / "sft_dataset.json"),
        "answers": hash_file(folder / "test.json"),
    }


def _measure_lead(best: str, built: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """How far the best is ahead of each submission on dev, in strict exact match."""
    places = {row["name"]: Path(row["folder"], "scores.parquet") for row in built}
    tables = {
        name: read_table(path, Scores).filter(pl.col("split") == "dev")
        for name, path in places.items()
    }
    leads = {}
    for name, table in tables.items():
        found = compare_scores(table, tables[best], (str(places[name]), str(places[best])))
        if sum(found["left_out"].values()):
            raise InputError(
                f"{places[name]} and {places[best]}: not the same dev questions"
                f" ({found['n']} are in both); build both with the same data.dev"
            )
        leads[name] = found["em_strict"]["difference"]
    return leads


def _describe_lead(lead: Mapping[str, float] | None) -> str | None:
    if lead is None:
        return None
    return f"{lead['mean']:.3f} ({lead['low']:+.3f} {lead['high']:+.3f})"


def _find_equal(rows: Sequence[Mapping[str, Any]], key: str) -> list[list[str]]:
    """Names of the submissions that have the same value, for each value that several have."""
    values = dict.fromkeys(row[key] for row in rows)
    groups = [[row["name"] for row in rows if row[key] == value] for value in values]
    return [names for names in groups if len(names) > 1]


def _describe_test(row: Mapping[str, Any]) -> str:
    if row["missing"]:
        return "not built"
    form = row["test_json"]
    return f"{form['answers']} answers, {form['empty']} empty, {form['broken']} not short"
