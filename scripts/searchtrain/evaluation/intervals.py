"""Intervals of 95 % by the bootstrap over questions (`scipy.stats.bootstrap`, percentiles).

Percentiles and not BCa: where all answers are right, or two runs equal, BCa has no value.
Invariant: the same scores have the same interval.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
RESAMPLES = 2000
"""Of the intervals of single scores; their ends are uncertain by a tenth of the standard error."""
CELLS = 2_000_000
"""Numbers that one batch of resamples may hold."""


class Interval(NamedTuple):
    """A mean and the ends of its interval."""

    mean: float
    low: float
    high: float


def bootstrap_means(
    scores: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 1
) -> list[Interval]:
    """The mean of each row of scores with its interval.

    `scores`: rows x questions, at least one question; the rows' questions are drawn together.
    """
    from scipy import stats  # takes most of a second, and Snakemake reads this module at each start

    values: NDArray[np.float64] = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    means = values.mean(axis=-1)
    if values.shape[-1] == 1:
        return [Interval(mean, mean, mean) for mean in map(float, means)]
    found = stats.bootstrap(
        (values,), np.mean, axis=-1, vectorized=True, n_resamples=resamples,
        batch=max(1, CELLS // values.size), confidence_level=LEVEL, method="percentile", rng=seed,
    )  # fmt: skip
    ends = found.confidence_interval
    return [
        Interval(*(round(float(value), 6) for value in each))
        for each in zip(means, ends.low, ends.high, strict=True)
    ]
