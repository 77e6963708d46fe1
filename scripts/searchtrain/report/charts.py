"""The few kinds of charts that figures use, as Vega-Lite specifications by altair.

Invariant: a chart fits the width it is given, its categories keep the order of its rows, and it
holds what is shown and no more: rows are counted before they come here. Field names are fixed, so
that no text of a run is ever part of an expression.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from searchtrain.report.figure import Chart

Row = Mapping[str, Any]
STEP = 26
"""Pixels of a bar with the room around it."""
HEIGHT = 190
NARROW = 190
"""Pixels that bars have on a phone, and of them a letter of the number behind a bar."""
LETTER = 7
LARGE = 100_000
"""From here on numbers of an axis are written as 100k."""


def draw_bars(
    rows: Sequence[Row], colours: Mapping[str, str], *, axis: str = "", percent: bool = False
) -> Chart:
    """Horizontal bars; rows of `label`, `value`, `kind` (of `colours`) and `text` behind the bar.

    Bars of one label are stacked in the order of `colours`, and `text` may be empty.
    """
    ends: dict[str, float] = {}
    for row in rows:
        ends[row["label"]] = ends.get(row["label"], 0) + row["value"]
    longest = max([*ends.values(), 1e-9])
    placed = _place(rows, colours)
    for row in placed:  # of a stack only the first bar brings the text, where the stack ends
        end = ends.pop(row["label"], None)
        row.update({"end": end} if end is not None else {"end": 0, "text": ""})
    base = alt.Chart(alt.Data(values=placed)).encode(
        y=alt.Y("label:N", sort=None, title=None),
        tooltip=_list_tips(percent),
    )
    bars = base.mark_bar(size=0.62 * STEP, cornerRadiusEnd=2).encode(
        x=alt.X(
            "value:Q", title=axis or None, stack="zero",
            scale=_leave_room(longest, rows), axis=_number(longest, percent),
        ),
        color=_colour(rows, colours),
        order=alt.Order("place:Q"),
    )  # fmt: skip
    texts = base.mark_text(align="left", dx=5).encode(x="end:Q", text="text:N")
    return _finish(alt.layer(bars, texts), alt.Step(STEP))


def draw_pairs(rows: Sequence[Row], colours: Mapping[str, str], *, axis: str) -> Chart:
    """Horizontal bars of shares, of each label side by side; rows as for `draw_bars`."""
    longest = max([*(row["value"] for row in rows), 1e-9])
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        y=alt.Y("label:N", sort=None, title=None, scale=alt.Scale(paddingInner=0.25)),
        yOffset=alt.YOffset("kind:N", sort=list(colours)),
        x=alt.X(
            "value:Q", title=axis, scale=_leave_room(longest, rows),
            axis=_number(longest, True),
        ),
        tooltip=_list_tips(True),
    )  # fmt: skip
    bars = base.mark_bar(cornerRadiusEnd=2).encode(color=_colour(rows, colours))
    texts = base.mark_text(align="left", dx=5, fontSize=11, baseline="middle").encode(text="text:N")
    return _finish(alt.layer(bars, texts), alt.Step(16))


def draw_intervals(rows: Sequence[Row], colours: Mapping[str, str], *, score: str) -> Chart:
    """Dots with their intervals between 0 and 1; rows of `label`, `value`, `low`, `high`, `kind`
    and `text`."""
    several = len({row["label"] for row in rows}) < len(rows)
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        y=alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelPadding=12)),
        tooltip=[
            alt.Tooltip("label:N", title="of"),
            alt.Tooltip("kind:N", title="answers"),
            alt.Tooltip("value:Q", title=score, format=".1%"),
            alt.Tooltip("low:Q", title="at least", format=".1%"),
            alt.Tooltip("high:Q", title="at most", format=".1%"),
            alt.Tooltip("n:Q", title="questions", format=","),
        ],
    )
    if several:
        base = base.encode(yOffset=alt.YOffset("kind:N", sort=list(colours)))
    spans = base.mark_bar(size=3, opacity=0.55, clip=True).encode(
        x=alt.X("low:Q", title=None, scale=_leave_room(1, rows), axis=_number(1, True)),
        x2="high:Q",
        color=_colour(rows, colours),
    )
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        x="value:Q", color=_colour(rows, colours)
    )
    texts = base.mark_text(align="left", dx=8, fontSize=11).encode(x="high:Q", text="text:N")
    return _finish(alt.layer(spans, dots, texts), alt.Step(14 if several else STEP))


def draw_histogram(
    rows: Sequence[Row], colours: Mapping[str, str], *, axis: str, counted: str,
    line: float | None = None, whole: bool = False,
) -> Chart:  # fmt: skip
    """Columns from `low` to `high` of so many (`value`), stacked by `kind`; a line at `line`.

    `whole`: there is nothing between whole numbers.
    """
    placed = _place(rows, colours)
    lowest = min([*(row["low"] for row in rows), *[line] * (line is not None)])
    highest = max([*(row["high"] for row in rows), *[line] * (line is not None)])
    columns = (
        alt.Chart(alt.Data(values=placed))
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X(
                "low:Q", bin="binned", title=axis,
                axis=_count_axis(highest, grid=False, tickMinStep=int(whole)),
                scale=alt.Scale(domain=[lowest, highest], nice=False, zero=False),
            ),
            x2="high:Q",
            y=alt.Y("value:Q", title=counted, stack="zero", axis=_count_axis(0)),
            color=_colour(rows, colours),
            order=alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip("text:N", title=axis),
                alt.Tooltip("kind:N", title="which"),
                alt.Tooltip("value:Q", title=counted, format=","),
            ],
        )
    )  # fmt: skip
    if line is None:
        return _finish(columns, HEIGHT)
    mark = (
        alt.Chart(alt.Data(values=[{"line": line}]))
        .mark_rule(strokeDash=[5, 3], size=2)
        .encode(x="line:Q", tooltip=alt.Tooltip("line:Q", title="threshold"))
    )
    return _finish(alt.layer(columns, mark), HEIGHT)


def draw_columns(
    rows: Sequence[Row], colours: Mapping[str, str], *, axis: str, counted: str
) -> Chart:
    """Columns of few whole numbers or labels (`label`), stacked by `kind`."""
    placed = _place(rows, colours)
    chart = (
        alt.Chart(alt.Data(values=placed))
        .mark_bar(size=26, cornerRadiusEnd=2)
        .encode(
            x=alt.X("label:N", sort=None, title=axis, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("value:Q", title=counted, stack="zero", axis=_count_axis(0)),
            color=_colour(rows, colours),
            order=alt.Order("place:Q"),
            tooltip=_list_tips(False, axis),
        )
    )
    return _finish(chart, HEIGHT)


def draw_curve(rows: Sequence[Row], colour: str, *, title: str, percent: bool = False) -> Chart:
    """A line over steps; rows of `step`, `value` and `mean`, the mean of the values around it."""
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        x=alt.X("step:Q", title="step", axis=alt.Axis(format=",d", grid=False, tickMinStep=1)),
        tooltip=[
            alt.Tooltip("step:Q", format=","),
            alt.Tooltip("value:Q", title=title, format=".1%" if percent else ".4~g"),
        ],
    )
    scale = alt.Scale(domain=[0, 1]) if percent else alt.Scale(zero=True)
    thin = base.mark_line(color=colour, size=1, opacity=0.45).encode(
        y=alt.Y(
            "value:Q",
            title=None,
            scale=scale,
            axis=alt.Axis(format="~%") if percent else _count_axis(0),
        )
    )
    heavy = base.mark_line(color=colour, size=2.5).encode(y="mean:Q")
    dots = base.mark_point(filled=True, size=60, opacity=0, color=colour).encode(y="value:Q")
    return _finish(alt.layer(thin, heavy, dots), HEIGHT)


def _place(rows: Sequence[Row], colours: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rows with their kind's place in a stack."""
    return [{**row, "place": [*colours].index(row["kind"])} for row in rows]


def _leave_room(longest: float, rows: Sequence[Row]) -> alt.Scale:
    """From 0 to the longest bar and, behind it, room for the longest text."""
    letters = max([*(len(row["text"]) for row in rows), 0])
    share = min(0.5, (LETTER * letters + 8) / NARROW)
    return alt.Scale(domain=[0, longest / (1 - share)], nice=False)


def _number(longest: float, percent: bool) -> alt.Axis:
    """An axis of bars: ticks up to the longest one, where Vega's own would go on behind it."""
    size = 10.0 ** math.floor(math.log10(longest / 4))
    step = next(size * each for each in (1, 2, 2.5, 5, 10) if longest / (size * each) <= 4.5)
    ticks = [round(step * number, 12) for number in range(int(longest / step + 1e-9) + 1)]
    form = "~%" if percent else "~s" if longest >= LARGE else ",~r"
    return alt.Axis(format=form, values=ticks)


def _count_axis(highest: float, **more: Any) -> alt.Axis:
    """An axis of numbers; without a format Vega writes as many digits as its ticks need."""
    return alt.Axis(format="~s", **more) if highest >= LARGE else alt.Axis(**more)


def _list_tips(percent: bool, label: str = "what") -> list[alt.Tooltip]:
    return [
        alt.Tooltip("label:N", title=label),
        alt.Tooltip("kind:N", title="which"),
        alt.Tooltip(
            "value:Q", title="share" if percent else "number", format=".1%" if percent else ",~r"
        ),
    ]


def _colour(rows: Sequence[Row], colours: Mapping[str, str]) -> alt.Color:
    """The colours of the kinds that are there; a single one needs no legend."""
    kinds = [kind for kind in colours if any(row["kind"] == kind for row in rows)]
    return alt.Color(
        "kind:N",
        scale=alt.Scale(domain=kinds, range=[colours[kind] for kind in kinds]),
        legend=alt.Legend(symbolOpacity=1) if len(kinds) > 1 else None,
    )


def _finish(chart: Any, height: Any) -> Chart:
    spec: dict[str, Any] = chart.properties(width="container", height=height).to_dict()
    # The page brings its own style, and the version of Vega-Lite that it draws with.
    for key in ("config", "$schema"):
        spec.pop(key, None)
    return spec
