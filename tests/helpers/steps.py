"""Steps of a GRPO run, as its history keeps them."""

from searchtrain.report.training import CURVES


def make_steps(count, **changes):
    keys = dict.fromkeys(CURVES, 0.5)
    return [{"step": step, **keys, **changes} for step in range(1, count + 1)]
