"""Training: the loss of supervised fine-tuning, and the curves of GRPO where there are some."""

from collections.abc import Sequence

from searchtrain.report.charts import draw_curve
from searchtrain.report.figure import Chart, Figure, Topic, format_count
from searchtrain.report.palette import GOOD, TEAL
from searchtrain.report.run import Report, Run

CURVES = {
    "reward": "Reward",
    "valid_turns": "Valid turns",
    "no_signal": "Groups without signal",
    "searches": "Searches per rollout",
    "completion_tokens": "Tokens written per rollout",
    "kl": "KL divergence from the start",
}
"""What is drawn of GRPO's history, and its title."""
SHARES = ("reward", "valid_turns", "no_signal")
"""What lies between 0 and 1."""
SMOOTHED = 15
"""Parts of a curve over which a mean is taken, for the heavy line."""
POINTS = 400
"""Points of a curve; of a longer one every so manieth is drawn."""


def tell_training(run: Run) -> Topic:
    """The topic; a checkpoint that was not trained here has no loss."""
    figures = []
    if loss := run.checkpoint.get("loss"):
        said = (
            f"The loss went from {loss[0]['loss']:.3f} to {loss[-1]['loss']:.3f} in"
            f" {format_count(loss[-1]['step'], 'steps')}"
        )
        if "tokens" in run.checkpoint:
            said += (
                f" over {format_count(run.checkpoint['records'], 'records')} of"
                f" {format_count(run.checkpoint['tokens'], 'tokens')}"
            )
        figures.append(
            Figure("Loss of supervised fine-tuning", f"{said}.",
                   [("", draw_steps(loss, "loss", GOOD, title="loss", parts=len(loss)))])
        )  # fmt: skip
    if run.history:
        figures.append(tell_grpo(run.history))
    return Topic("training", "Training", figures)


def tell_grpo(history: Sequence[Report]) -> Figure:
    """GRPO's curves; a figure that was not measured (KL where beta is 0) is left out."""
    charts = []
    for key, title in CURVES.items():
        rows = [row for row in history if row.get(key) is not None]
        if rows:
            chart = draw_steps(rows, key, TEAL, title=title, percent=key in SHARES)
            charts.append((title, chart))
    first, last = history[0], history[-1]
    return Figure(
        "GRPO",
        f"In {format_count(len(history), 'steps')} the mean reward went from {first['reward']:.3f}"
        f" to {last['reward']:.3f}.",
        charts,
    )


def draw_steps(
    rows: Sequence[Report],
    key: str,
    colour: str,
    *,
    title: str,
    percent: bool = False,
    parts: int = SMOOTHED,
) -> Chart:
    """The curve of one figure, thin, and its moving mean over one of `parts`, heavy."""
    values = [float(row[key]) for row in rows]
    means = average_curve(values, max(1, len(values) // parts))
    every = -(-len(values) // POINTS)
    points = [
        {"step": row["step"], "value": value, "mean": round(mean, 6)}
        for row, value, mean in zip(rows, values, means, strict=True)
    ]
    return draw_curve(points[::-1][::every][::-1], colour, title=title, percent=percent)


def average_curve(values: Sequence[float], width: int) -> list[float]:
    """The mean of each value and those before it, `width` at most."""
    return [
        sum(part) / len(part)
        for part in (values[max(0, end - width) : end] for end in range(1, len(values) + 1))
    ]
