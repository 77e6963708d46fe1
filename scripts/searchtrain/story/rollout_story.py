"""The chapters on one rollout: who wrote it, its turns, its requests, what became of it.

Invariant: what is not there is said in one line.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from searchtrain.config import describe_limits
from searchtrain.config.rounds import plan_rollouts, read_round
from searchtrain.core.errors import SearchTrainError
from searchtrain.core.files import digest
from searchtrain.data.results import ROW, Results
from searchtrain.models.prompts import render_prompt
from searchtrain.models.role import find_section
from searchtrain.story.bills import PROMPTS, tell_judging, tell_requests
from searchtrain.story.chapters import Chapter
from searchtrain.story.sources import NOT_BUILT
from searchtrain.story.training_rows import tell_training
from searchtrain.story.turns import tell_turns

HINT = "\N{LEFT-POINTING ANGLE BRACKET}answer\N{RIGHT-POINTING ANGLE BRACKET}"


def tell_rollout(results: Results, place: str, row: Mapping[str, Any]) -> list[Chapter]:
    """The chapters on a row of `trajectories.parquet`, whose rules and training rows belong to it,
    or of `predictions.parquet`; `place`: of the table."""
    chapters = [_tell_writer(results, place, row), tell_turns(row)]
    chapters.append(tell_requests(results, place, row))
    if "split" not in row:
        chapters += [_tell_verdicts(results, place, row), tell_training(results, place, row)]
    return chapters


def _tell_writer(results: Results, place: str, row: Mapping[str, Any]) -> Chapter:
    lineage = row["lineage"]
    table = "predictions.parquet" if "split" in row else "trajectories.parquet"
    facts = {
        "id": row["id"],
        "written by": lineage["model"],
        "revision": lineage["revision"][-64:],
        "prompt": f"{_name_prompt(place, row)}, digest {lineage['prompt'][:16]}"
        + _compare_prompt(results, place, row),
        "seed": str(lineage["seed"]),
        "wave": None if row["wave"] == "first" else row["wave"],
        "stands in": f"{results.path(place, table)}, row {row[ROW]:,} from 0",
    }
    return Chapter("rollout", facts)


def _name_prompt(place: str, row: Mapping[str, Any]) -> str:
    """The prompt file of a row, by the place of its table (`workflow.students.find_prompt`)."""
    if row.get("split", "").endswith("retrieve_read"):
        name = "read"
    elif "split" in row:
        name = "agent_teacher" if place == "untrained/" else "agent"
    else:
        name = "agent" if read_round(place or "1") > 1 else "agent_teacher"
    return f"{PROMPTS}/{name}.jinja"


def _compare_prompt(results: Results, place: str, row: Mapping[str, Any]) -> str:
    """Whether the file and the settings of now make the same prompt."""
    config, file = results.config, Path(_name_prompt(place, row))
    told: dict[str, Any] = {}
    if file.stem != "read":
        plan = plan_rollouts(config, read_round(place or "1")) if "split" not in row else None
        section = find_section(config, plan.role if plan else "student")
        limits = plan.limits if plan else config.predict.limits
        hint = HINT if row["wave"] == "hinted" else ""
        told = {"thought": config.trajectories.thought, "hint": hint}
        told |= describe_limits(limits, section.format)
    if not file.is_file():
        return ""
    try:
        same = digest(render_prompt(file, **told)) == row["lineage"]["prompt"]
    except SearchTrainError:
        same = False
    return " (as the file is now)" if same else " (file or settings have changed since)"


def _tell_verdicts(results: Results, place: str, row: Mapping[str, Any]) -> Chapter:
    verdicts = results.find(place, "curation.parquet", id=row["id"])
    if verdicts is None:
        return Chapter("curation", {"verdicts": NOT_BUILT})
    failed = [each["rule"] for each in verdicts if not each["passed"]]
    facts: dict[str, Any] = {}
    for name, column in (("shortcuts", "genuine"), ("equivalents", "equivalent")):
        for judged in results.find(place, f"{name}.parquet", id=row["id"]) or ():
            said = judged["error"] or judged["reason"]
            facts[f"judged {column}"] = f"{judged[column]} ({said})"
            facts |= tell_judging(results, name, row, f"judged {column}: ")
    facts["failed"] = failed or None
    kept = any(each["kept"] for each in verdicts)
    if not kept and not failed:
        better = results.find(place, "curated.parquet", ["id"], question_id=row["question_id"])
        facts["behind"] = [each["id"] for each in better or ()] or "others, as few are kept"
    facts["kept"] = kept
    rows = [
        {
            "rule": each["rule"],
            "value": None if each["value"] is None else round(each["value"], 3),
            "threshold": round(each["threshold"], 3),
            "verdict": "passed" if each["passed"] else "FAILED",
        }
        for each in sorted(verdicts, key=lambda each: each["passed"])
    ]
    return Chapter("curation", facts, rows)
