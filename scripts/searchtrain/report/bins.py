"""Numbers counted in bins, for histograms.

Invariant: every number is in one bin, so that columns add up to the rows that were counted.
"""

import math
from typing import Any

import polars as pl

BINS = 24


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


def _name_bin(start: float, end: float, whole: bool, beyond: bool) -> str:
    if beyond:
        return f"{start:,.4g} and more"
    if whole:
        return f"{start:,.0f}" if end - start == 1 else f"{start:,.0f} to {end - 1:,.0f}"
    return f"{start:,.3g} to {end:,.3g}"
