"""Domains and key points before and after sampling."""

from collections.abc import Mapping
from typing import Any

from searchtrain.report.charts import draw_pairs
from searchtrain.report.figure import (
    Chart,
    Figure,
    Topic,
    format_count,
    format_percent,
    name_labels,
)
from searchtrain.report.palette import SAMPLED
from searchtrain.report.run import Run

MOST = 12
"""Labels of one chart."""


def tell_sampling(run: Run) -> Topic:
    """What sampling did to domains and key points."""
    report = run.sampling
    counts = report["questions"]
    first = (
        f"{format_count(counts['after'])} of {format_count(counts['before'], 'questions')} were"
        f" sampled."
    )
    return Topic(
        "sampling",
        "Domains and key points",
        [
            Figure(
                "Domains before and after sampling",
                f"{first} {describe_labels(report['domains'], 'domain')}",
                [("", draw_labels(report["domains"], counts, "share of questions"))],
            ),
            Figure(
                "Key points before and after sampling",
                describe_labels(report["key_points"], "key point"),
                [("", draw_labels(report["key_points"], counts, "share of questions"))],
            ),
        ],
    )


def draw_labels(part: Mapping[str, Any], counts: Mapping[str, int], axis: str) -> Chart:
    """The most frequent labels, as shares of all questions before and after."""
    shown = part["counts"][:MOST]
    rows = [
        {
            "label": label,
            "kind": when,
            "value": row[when] / max(counts[when], 1),
            "text": format_percent(row[when] / max(counts[when], 1)),
        }
        for label, row in zip(name_labels([row["label"] for row in shown]), shown, strict=True)
        for when in ("before", "after")
    ]
    return draw_pairs(rows, SAMPLED, axis=axis)


def describe_labels(part: Mapping[str, Any], noun: str) -> str:
    """How many there are, and how even."""
    before, after = part["distinct"]["before"], part["distinct"]["after"]
    said = f"{format_count(before, f'{noun}s')} before, {format_count(after)} after"
    more = before - min(MOST, len(part["counts"]))
    said += f", of which the {MOST} most frequent are shown" if more > 0 else ""
    evenness = part["evenness"]
    if evenness["before"] is None or evenness["after"] is None:
        return f"{said}."
    return (
        f"{said}. Evenness went from {evenness['before']:.2f} to {evenness['after']:.2f}"
        f" (1: all equally frequent)."
    )
