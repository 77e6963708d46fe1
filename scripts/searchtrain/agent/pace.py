"""Whether there is time for more than the first rollouts of a question.

Questions are worked off side by side, each with its later waves behind its first. Invariant: a
later rollout begins only while the first ones that are still to do fit before the end, at the pace
of all rollouts so far or of the last ones, whichever is slower.
"""

import time
from collections import deque
from collections.abc import Callable

WINDOW = 0.02
"""Share of the first rollouts that the last ones are."""


class Pace:
    """How fast rollouts end."""

    def __init__(
        self, first: int, end: float | None, clock: Callable[[], float] = time.time
    ) -> None:
        """`first`: first rollouts to do; `end`: when all must be done (seconds since the epoch),
        None: there is time."""
        self._left, self._end, self._clock = first, end, clock
        self._began, self._done = clock(), 0
        self._last = deque([self._began], max(2, int(first * WINDOW)))

    def count(self, first: bool) -> None:
        """One more rollout has ended, a first one or another."""
        self._left -= first
        self._done += 1
        self._last.append(self._clock())

    def skip(self, number: int) -> None:
        """So many first rollouts need not be done."""
        self._left -= number

    def allows(self) -> bool:
        """Whether later rollouts may begin now."""
        if self._end is None:
            return True
        now = self._clock()
        overall = (now - self._began) / max(self._done, 1)
        recent = (now - self._last[0]) / max(len(self._last) - 1, 1)
        return now + max(overall, recent) * self._left <= self._end
