"""What rollouts took: turns, searches and tokens, time and cost of every stage."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from searchtrain.report.charts import draw_bars, draw_columns, draw_histogram
from searchtrain.report.figure import (
    Chapter,
    Chart,
    Figure,
    Table,
    format_count,
    format_time,
)
from searchtrain.report.palette import KEPT, PLAIN
from searchtrain.report.run import Run

MOST = 12
"""Columns of whole numbers; what is more is the last one."""
BINS = 24
LONGEST = 10
"""Stages whose time is shown."""


def tell_effort(run: Run, judged: pl.DataFrame) -> Chapter:
    """The chapter; `judged` as from `judge_run`."""
    means = judged.select(pl.mean("turns", "searches", "completion_tokens")).row(0, named=True)
    asked = judged.select(pl.sum("prompt_tokens") + pl.sum("completion_tokens")).item()
    kept = max(int(judged["kept"].sum()), 1)
    figures = [
        Figure(
            "Turns and searches of a rollout",
            f"A rollout of the teacher takes {means['turns']:.1f} turns and"
            f" {means['searches']:.1f} searches on average.",
            [
                ("Turns", draw_counts(judged, "turns")),
                ("Searches", draw_counts(judged, "searches")),
            ],
        ),
        Figure(
            "Tokens of a rollout",
            f"It writes {means['completion_tokens']:,.0f} tokens on average. All rollouts together"
            f" read and wrote {format_count(asked, 'tokens')}, which is"
            f" {format_count(round(asked / kept))} for each one kept.",
            [
                ("Tokens written", draw_spread(judged, "completion_tokens", "tokens written")),
                ("Tokens read", draw_spread(judged, "prompt_tokens", "tokens read")),
            ],
        ),
    ]
    if lines := list_costs(run):
        figures.append(tell_costs(lines, kept))
    if run.hours:
        figures.append(tell_hours(run.hours))
    return Chapter("effort", "Turns, searches, tokens, cost", figures)


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
        f"Asking models took {format_count(tokens, 'tokens')} and"
        f" {tell_dollars(dollars, kept)}. What the request cache had is"
        " counted at what it cost when it was asked.",
        table=Table(("stage: model", "requests", "read", "written", "cost"), rows),
    )


def tell_dollars(dollars: float, kept: int) -> str:
    """What was paid, in all and for each rollout kept."""
    if not dollars:
        return "cost nothing (no prices are given, or the models are one's own)"
    return (
        f"cost {_format_dollars(dollars)}, {_format_dollars(dollars / kept)} for each rollout kept"
    )


def tell_hours(hours: Mapping[str, float]) -> Figure:
    """The stages that took longest."""
    longest = sorted(hours.items(), key=lambda each: -each[1])[:LONGEST]
    whole = sum(hours.values())
    unit, factor = ("hours", 1) if whole > 2 else ("minutes", 60)
    rows = [
        {"label": name, "value": spent * factor, "kind": "time", "text": format_time(spent)}
        for name, spent in longest
    ]
    return Figure(
        "Time of each stage",
        f"The last runs of all stages took {format_time(whole)} together, {longest[0][0]} the"
        f" longest.",
        [("", draw_bars(rows, {"time": PLAIN}, axis=unit))],
    )


def draw_counts(judged: pl.DataFrame, column: str) -> Chart:
    """Columns of a whole number, kept and dropped."""
    capped = judged.select("kept", pl.col(column).clip(0, MOST).alias("number"))
    sizes = capped.group_by("number", "kept").len()
    counts = {(number, kept): size for number, kept, size in sizes.iter_rows()}
    numbers = range(
        capped.select(pl.min("number")).item(), capped.select(pl.max("number")).item() + 1
    )
    rows = [
        {
            "label": f"{number} +" if number == MOST else str(number),
            "value": counts.get((number, kind == "kept"), 0),
            "kind": kind,
        }
        for number in numbers
        for kind in KEPT
    ]
    return draw_columns(rows, KEPT, axis=column, counted="rollouts")


def draw_spread(judged: pl.DataFrame, column: str, axis: str) -> Chart:
    """A histogram of a number, kept and dropped; the largest hundredth joins the last column."""
    rows = count_bins(judged[column], judged["kept"], ("dropped", "kept"))
    return draw_histogram(rows, KEPT, axis=axis, counted="rollouts", whole=True)


def count_bins(
    values: pl.Series, good: pl.Series, kinds: tuple[str, str], line: float | None = None
) -> list[dict[str, Any]]:
    """Rows for `draw_histogram`: how many values lie in each of at most `BINS` equal bins.

    `good`: Boolean, whether a value is of `kinds[1]`. The largest hundredth joins the last bin,
    unless `line`, a threshold, lies there.
    """
    frame = pl.DataFrame({"value": values.cast(pl.Float64), "good": good}).drop_nulls()
    if frame.is_empty():
        return []
    low = frame.select(pl.min("value")).item()
    top = frame.select(pl.quantile("value", 0.99, "higher")).item()
    if line is not None:
        low, top = min(low, line), max(top, line)
    whole = frame.select((pl.col("value") == pl.col("value").round()).all()).item()
    if whole:
        width = max(1.0, -(-(top - low + 1) // BINS))
        last = int((top - low) // width)
    else:
        width = (top - low) / BINS or 1.0
        last = max(0, math.ceil((top - low) / width - 1e-9) - 1)
    bins = frame.with_columns(
        ((pl.col("value") - low) / width).floor().cast(pl.Int64).clip(0, last).alias("bin")
    )
    beyond = frame.select((pl.col("value") > low + (last + 1) * width).any()).item()
    counts = {(n, g): size for n, g, size in bins.group_by("bin", "good").len().iter_rows()}
    rows = []
    for number in range(last + 1):
        start, end = low + number * width, low + (number + 1) * width
        text = _name_bin(start, end, whole, beyond and number == last)
        for place, kind in enumerate(kinds):
            if size := counts.get((number, bool(place)), 0):
                shift = 0.5 if whole and width == 1 else 0
                rows.append({"low": start - shift, "high": end - shift, "value": size,
                             "kind": kind, "text": text})  # fmt: skip
    return rows


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


def _name_bin(start: float, end: float, whole: bool, beyond: bool) -> str:
    if beyond:
        return f"{start:,.4g} and more"
    if whole:
        return f"{start:,.0f}" if end - start == 1 else f"{start:,.0f} to {end - 1:,.0f}"
    return f"{start:,.3g} to {end:,.3g}"


def _format_line(stage: str, line: Mapping[str, Any]) -> list[str]:
    numbers = [f"{line[key]:,.0f}" if line[key] else "" for key in
               ("requests", "prompt_tokens", "completion_tokens")]  # fmt: skip
    return [stage, *numbers, _format_dollars(line["dollars"])]


def _format_dollars(dollars: float) -> str:
    if not dollars:
        return "$ 0"
    return f"$ {dollars:,.2f}" if dollars >= 0.1 else f"$ {dollars:.5f}"
