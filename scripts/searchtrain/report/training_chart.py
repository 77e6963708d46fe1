"""The figures of a reinforcement learning run, step by step, as a PNG file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from searchtrain.report.charts import AFTER, BEFORE, save_figure

PANELS = {
    "reward": "Reward",
    "valid_turns": "Share of valid turns",
    "searches": "Searches per rollout",
    "completion_tokens": "Tokens written per rollout",
    "kl": "KL divergence from the start",
    "no_signal": "Share of groups without signal",
}
SHARES = ("valid_turns", "no_signal")
"""What lies between 0 and 1."""
SMOOTHED = 15
"""Parts of the curve over which a mean is taken, for the heavy line."""


def draw_history(rows: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Draw the steps as six curves, each with its moving mean; PNG."""
    figure = Figure(figsize=(13, 6.4), dpi=110, layout="constrained")
    figure.suptitle(f"GRPO: {len(rows):,} steps", fontsize=14, weight="bold")
    for axes, (key, title) in zip(figure.subplots(2, 3).flat, PANELS.items(), strict=True):
        _draw_panel(axes, key, title, rows)
    save_figure(figure, path)


def average_curve(values: Sequence[float], width: int) -> list[float]:
    """The mean of each value and those before it, `width` at most."""
    return [
        sum(part) / len(part)
        for part in (values[max(0, end - width) : end] for end in range(1, len(values) + 1))
    ]


def _draw_panel(axes: Axes, key: str, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    points = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("step", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color="#e6e8ec")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if not points:
        axes.text(
            0.5, 0.5, "not measured: beta is 0" if key == "kl" else "not measured",
            ha="center", va="center", transform=axes.transAxes, color="#6b7280",
        )  # fmt: skip
        axes.set(xticks=[], yticks=[])
        return
    steps, values = zip(*points, strict=True)
    width = max(1, len(values) // SMOOTHED)
    axes.plot(steps, values, color=BEFORE, linewidth=1, label="each step")
    axes.plot(
        steps, average_curve(values, width), color=AFTER, linewidth=2,
        label=f"mean of {width} steps" if width > 1 else "mean",
    )  # fmt: skip
    if key in SHARES:
        axes.set_ylim(-0.03, 1.03)
    else:
        axes.set_ylim(bottom=min(0, *values))
