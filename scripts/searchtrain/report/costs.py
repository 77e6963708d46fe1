"""What asking models took, stage by stage: requests, tokens, dollars."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from searchtrain.report.figure import Figure, Table, format_count
from searchtrain.report.run import Run


def tell_costs(lines: Sequence[Mapping[str, Any]], kept: int) -> Figure:
    """A table of what asking models took, stage by stage."""
    dollars = sum(line["dollars"] or 0 for line in lines)
    tokens = sum(line["prompt_tokens"] + line["completion_tokens"] for line in lines)
    rows = [_format_line(line["stage"], line) for line in lines]
    whole = {
        key: sum(line[key] or 0 for line in lines)
        for key in ("requests", "prompt_tokens", "completion_tokens", "dollars")
    }
    rows.append(_format_line("all", whole))
    rows.append(_format_line("per kept rollout", {k: v / kept for k, v in whole.items()}))
    return Figure(
        "Requests, tokens and cost of each stage",
        f"Asking models took {format_count(tokens, 'tokens')} and {tell_dollars(dollars, kept)}.",
        table=Table(("stage: model", "requests", "read", "written", "cost"), rows),
    )


def tell_dollars(dollars: float, kept: int) -> str:
    """What was paid, in all and for each rollout kept."""
    if not dollars:
        return "cost nothing (no prices are given, or the models are one's own)"
    return (
        f"cost {_format_dollars(dollars)}, {_format_dollars(dollars / kept)} for each rollout kept"
    )


def list_costs(run: Run) -> list[dict[str, Any]]:
    """Requests, tokens and dollars of each stage and model."""
    lines = []
    for stage, report in run.costs.items():
        models = report.get("models") or {"": report.get("cost") or {}}
        for role, cost in models.items():
            if cost.get("prompt_tokens"):
                lines.append({
                    "stage": f"{stage}: {role}" if role else stage,
                    "requests": cost.get("requests", 0),
                    "prompt_tokens": cost["prompt_tokens"],
                    "completion_tokens": cost.get("completion_tokens", 0),
                    "dollars": cost.get("dollars", 0.0),
                })  # fmt: skip
    frame = run.predictions
    for split in frame["split"].unique(maintain_order=True):
        part = frame.filter(pl.col("split") == split)
        lines.append({
            "stage": f"predict: {split}", "requests": 0,
            "prompt_tokens": part["prompt_tokens"].sum(),
            "completion_tokens": part["completion_tokens"].sum(), "dollars": 0.0,
        })  # fmt: skip
    return lines


def _format_line(stage: str, line: Mapping[str, Any]) -> list[str]:
    numbers = [f"{line[key]:,.0f}" if line[key] else "" for key in
               ("requests", "prompt_tokens", "completion_tokens")]  # fmt: skip
    return [stage, *numbers, _format_dollars(line["dollars"])]


def _format_dollars(dollars: float) -> str:
    if not dollars:
        return "$ 0"
    return f"$ {dollars:,.2f}" if dollars >= 0.1 else f"$ {dollars:.5f}"
