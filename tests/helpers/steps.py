"""Steps of a GRPO run, as its history keeps them."""

from searchtrain.report import training_chart


def make_steps(count, **changes):
    keys = dict.fromkeys(training_chart.PANELS, 0.5)
    return [{"step": step, **keys, **changes} for step in range(1, count + 1)]
