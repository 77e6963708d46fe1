"""How many questions rollouts solve: each question has a chance of its own, spread by a Beta law.

A rollout of a question is kept with the question's chance p, and p differs from question to
question: some are solved always, some never. Invariant: two measured figures fix the law, the share
of rollouts that is kept (the mean of p) and the share of questions that so many rollouts leave
unsolved; without the second all questions have the same p.
"""

from dataclasses import dataclass
from math import comb, exp, lgamma, log

from searchtrain.config import Plan
from searchtrain.core.errors import InputError

WIDEST, NARROWEST = 1e-3, 1e4
"""a + b of the Beta laws that are told apart from certainty and from one chance for all."""

ROUNDED = 1e-3


@dataclass(frozen=True, slots=True)
class Yield:
    """What rollouts of a run's questions yield."""

    mean: float
    """Share of rollouts that is kept."""
    spread: float | None = None
    """a + b of the Beta law; None: one chance for all questions."""

    def leave_unsolved(self, rollouts: float) -> float:
        """Share of the questions of which no rollout out of so many is kept."""
        return self.hit(0, rollouts)

    def hit(self, good: int, rollouts: float) -> float:
        """Share of the questions of which just so many rollouts are kept."""
        whole = round(rollouts)
        if self.spread is None or self.mean in (0, 1):
            return comb(whole, good) * self.mean**good * (1 - self.mean) ** (whole - good)
        a, b = self.mean * self.spread, (1 - self.mean) * self.spread
        return comb(whole, good) * exp(_log_beta(a + good, b + whole - good) - _log_beta(a, b))

    def keep(self, rollouts: int, most: int) -> float:
        """Rollouts kept of a question on average, at most so many."""
        shares = [self.hit(good, rollouts) for good in range(min(most, rollouts))]
        return sum(good * share for good, share in enumerate(shares)) + min(most, rollouts) * (
            1 - sum(shares)
        )


def fit_yield(plan: Plan) -> Yield:
    """The yield by `plan.kept_share` and `plan.unsolved`.

    Raises InputError where no spread of chances leaves so many unsolved.
    """
    mean, (rollouts, share) = plan.kept_share, (plan.unsolved.rollouts, plan.unsolved.share)
    even = Yield(mean)
    if share is None or share <= even.leave_unsolved(rollouts):
        return even
    if share > 1 - mean + ROUNDED:
        raise InputError(
            f"plan.unsolved.share: {share:g}: with plan.kept_share {mean:g} at most {1 - mean:g}"
            " of the questions can be without a rollout that is kept; lower one of them"
        )
    if share >= Yield(mean, WIDEST).leave_unsolved(rollouts):
        return Yield(mean, WIDEST)
    low, high = log(WIDEST), log(NARROWEST)
    for _ in range(60):
        middle = (low + high) / 2
        if Yield(mean, exp(middle)).leave_unsolved(rollouts) > share:
            low = middle
        else:
            high = middle
    return Yield(mean, exp(low))


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
