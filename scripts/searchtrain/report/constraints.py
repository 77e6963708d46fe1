"""The task's constraints with the evidence that this run has for each.

Invariant: evidence is read off what the run wrote, not off what the config says.
"""

import polars as pl

from searchtrain.models.identity import is_same_model
from searchtrain.report.figure import (
    Figure,
    Table,
    Topic,
    format_count,
    format_time,
    shorten,
)
from searchtrain.report.run import Run

MOST = 4
"""Models that are named."""
HEADER = ("constraint", "demanded", "what the run shows", "holds")


def tell_constraints(run: Run) -> Topic:
    """The topic: one table."""
    rows = list_constraints(run)
    broken = sum(row[-1] == "no" for row in rows)
    said = f"{format_count(len(rows), 'constraints')}, {broken} broken"
    if not run.config.task.enforced:
        said += "; this run enforces none of them (task.enforced is false), the table only shows"
        said += " what it did"
    table = Table(HEADER, rows, names=len(HEADER))
    return Topic(
        "task", "Constraints of the task", [Figure("Constraints", f"{said}.", table=table)]
    )


def list_constraints(run: Run) -> list[tuple[str, str, str, str]]:
    """Rows of `HEADER`."""
    task = run.config.task
    writers = _list_models(run.rollouts)
    answering = _list_models(run.predictions)
    held_out = sum(count for name, count in run.seeds["reasons"].items() if "_in_" in name)
    answers = run.metrics.get("test_json", {})
    origins = sorted({row for row in ("seed", "tree") if run.questions.get(row, {}).get("rows")})
    mixed = ", mixed with other chats" if run.records.get("mix") else ""
    rows = [
        (
            "Who writes training data",
            f"{shorten(task.teacher)} alone" if task.teacher else "any model",
            f"rollouts by {_join(writers)}",
            _say(not task.teacher or all(is_same_model(each, task.teacher) for each in writers)),
        ),
        (
            "Who answers",
            f"not {shorten(task.teacher)}" if task.teacher else "any model",
            f"predictions by {_join(answering)}",
            _say(not task.teacher
                 or not any(is_same_model(each, task.teacher) for each in answering)),
        ),
        (
            "Where training questions come from",
            "seed questions alone" if task.seed_data_only else "anywhere",
            f"{' and '.join(origins) or 'no'} questions{mixed}",
            _say(not task.seed_data_only or (origins == ["seed"] and not mixed)),
        ),
        (
            "No question of dev or test is trained on",
            "always",
            f"{format_count(held_out, 'seeds')} left out for it",
            "yes",
        ),
        (
            "The student's start",
            shorten(task.student) if task.student else "any model",
            shorten(run.config.train.base.rpartition("/")[2]),
            _say(not task.student or is_same_model(run.config.train.base, task.student)),
        ),
    ]  # fmt: skip
    if answers:
        faults = answers["broken"]
        rows.append((
            "One answer for each test question", "always",
            f"{format_count(answers['answers'], 'answers')}, {answers['empty']} empty,"
            f" {faults} not a word or phrase", _say(not faults),
        ))  # fmt: skip
    if hours := _tell_hours(run):
        rows.append(hours)
    if task.submissions:
        rows.append((
            "Submissions", f"at most {task.max_submissions}", f"{len(task.submissions)} configured",
            _say(len(task.submissions) <= task.max_submissions),
        ))  # fmt: skip
    return rows


def _tell_hours(run: Run) -> tuple[str, str, str, str] | None:
    """Wall clock against the budget: as `hours.json` counts it, else as the stages took."""
    stages = run.spent.get("stages", ())
    spent = sum(row["spent_hours"] or 0 for row in stages) or sum(run.hours.values())
    if not spent:
        return None
    budget = run.config.task.budget_hours
    planned = [each["hours"] for each in run.plan.get("stages", ())]
    known = [hours for hours in planned if hours is not None]
    shown = f"{format_time(spent)} in the last run of each stage"
    shown += f", {format_time(sum(known))} planned" if known else ""
    demanded = f"at most {budget:g} h" if budget is not None else "no budget"
    return "Time", demanded, shown, _say(budget is None or spent <= budget)


def _list_models(rows: pl.DataFrame) -> list[str]:
    if rows.is_empty():
        return []
    return sorted(rows["lineage"].struct.field("model").unique().to_list())


def _join(names: list[str]) -> str:
    more = len(names) - MOST
    return (", ".join(map(shorten, names[:MOST])) or "nobody") + (f" and {more} more" * (more > 0))


def _say(holds: bool) -> str:
    return "yes" if holds else "no"
