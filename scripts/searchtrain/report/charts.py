"""Charts of what a stage did, as PNG files.

Invariant: equal input gives equal bytes, with no display and no state of matplotlib's own.
"""

import unicodedata
import warnings
from pathlib import Path

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names

from searchtrain.core.files import replace_file
from searchtrain.questions.sampling import compare_labels, measure_evenness

MOST = 20
"""Labels that a panel shows."""
LABEL_CHARS = 28
BEFORE = "#b9bec7"
AFTER = "#1f6fb4"
FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Noto Sans")
"""The first comes with matplotlib (Latin, Greek, Cyrillic); of the others those that are there."""


def draw_sampling(tagged: pl.DataFrame, sampled: pl.DataFrame, path: str | Path) -> None:
    """Draw the shares of the most frequent domains and key points before and after sampling.

    `tagged`: `schemas.Tagged`, every question of which counts once; `sampled`: `schemas.Sampled`.
    """
    pool = tagged.unique("question", keep="first", maintain_order=True)
    panels = {
        ("Domains", "questions"): compare_labels(pool, sampled, "domain"),
        ("Key points", "key points"): compare_labels(pool, sampled, "key_points"),
    }
    rows = min(MOST, max(counts.height for counts in panels.values()))
    figure = Figure(figsize=(13, 2.2 + 0.36 * max(rows, 4)), dpi=110, layout="constrained")
    figure.suptitle(
        f"Sampling: {sampled.height:,} of {pool.height:,} questions", fontsize=14, weight="bold"
    )
    for axes, (names, counts) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        _draw_panel(axes, *names, counts)
    save_figure(figure, path)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, with the legend of its first panel below."""
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, frameon=False)
    with warnings.catch_warnings(), replace_file(path) as partial:
        # A letter that no font here has becomes a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(partial, format="png", metadata={"Software": None})


def _draw_panel(axes: Axes, name: str, whole: str, counts: pl.DataFrame) -> None:
    """One pair of bars per label; what is left out is said in words, so that bars stay readable."""
    shown = counts.head(MOST)
    shares = {
        when: [100 * count / max(counts[when].sum(), 1) for count in shown[when]]
        for when in ("before", "after")
    }
    places = range(shown.height)
    for when, shift, colour in (("before", -0.2, BEFORE), ("after", 0.2, AFTER)):
        bars = axes.barh(
            [place + shift for place in places], shares[when], 0.38, color=colour, label=when
        )
        axes.bar_label(bars, [_format_percent(share) for share in shares[when]], padding=2, size=7)
    fonts = [font for font in FONTS if font in get_font_names()]
    axes.set_yticks(
        list(places),
        [_shorten(label) for label in shown["label"]],
        family=fonts,
        parse_math=False,
        size=9,
    )
    axes.set_ylim(max(shown.height, 4) - 0.4, -0.6)
    axes.set_xlim(0, 1.12 * max([*shares["before"], *shares["after"], 1e-9]))
    present = [f"{(counts[when] > 0).sum():,} {when}" for when in ("before", "after")]
    axes.set_title(f"{name}: {', '.join(present)}\n{_describe_evenness(counts)}", fontsize=11)
    axes.set_xlabel(_describe_rest(counts, whole), fontsize=9)
    axes.xaxis.set_major_formatter("{x:g} %")
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="#e6e8ec")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _shorten(label: str) -> str:
    """One line of printable characters, cut to `LABEL_CHARS`."""
    text = "".join(" " if unicodedata.category(each) in ("Cc", "Cs") else each for each in label)
    text = " ".join(text.split())
    return text if len(text) <= LABEL_CHARS else text[: LABEL_CHARS - 1].rstrip() + "…"


def _format_percent(share: float) -> str:
    if not share:
        return "0"
    return f"{share:.1f} %" if share >= 0.05 else "< 0.1 %"


def _describe_evenness(counts: pl.DataFrame) -> str:
    before, after = (measure_evenness(counts, when) for when in ("before", "after"))
    if before is None or after is None:
        return "evenness: too few to measure"
    return f"evenness {before:.3f} before, {after:.3f} after (1: all equally frequent)"


def _describe_rest(counts: pl.DataFrame, whole: str) -> str:
    rest = counts.slice(MOST)
    if rest.is_empty():
        return f"share of all {whole}"
    before, after = (
        100 * rest.select(pl.sum(when)).item() / max(counts.select(pl.sum(when)).item(), 1)
        for when in ("before", "after")
    )
    return (
        f"share of all {whole}; {rest.height:,} more have {_format_percent(before)} before,"
        f" {_format_percent(after)} after"
    )
