"""What rollouts took: turns, searches and tokens, time and cost of every stage."""

from collections.abc import Mapping

import polars as pl

from searchtrain.report.bins import count_bins
from searchtrain.report.charts import draw_bars, draw_columns, draw_histogram
from searchtrain.report.costs import list_costs, tell_costs
from searchtrain.report.figure import (
    Chart,
    Figure,
    Topic,
    format_count,
    format_time,
)
from searchtrain.report.palette import KEPT, PLAIN
from searchtrain.report.run import Run

MOST = 12
"""Columns of whole numbers; what is more is the last one."""
LONGEST = 10
"""Stages whose time is shown."""


def tell_effort(run: Run, judged: pl.DataFrame) -> Topic:
    """The topic; `judged` as from `judge_run`."""
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
    return Topic("effort", "Turns, searches, tokens, cost", figures)


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
