"""Whether a model can be read at all: a stage whose first rollouts have no valid turn is told so.

Invariant: one valid turn in any of them and nothing is said; broken turns of a model that can be
read are the rollouts' own matter.
"""

import logging

from searchtrain.agent.trace import Trace
from searchtrain.core.errors import SearchTrainError
from searchtrain.core.terminal import quote_text
from searchtrain.models.role import Role

logger = logging.getLogger(__name__)

FIRST = 20
"""Finished rollouts that are looked at."""
SHOWN = 400
"""Characters of the turn that is shown, half of them from its end."""


class ValidityCheck:
    """Looks at the first rollouts of a stage."""

    def __init__(self, role: Role, form: str, *, ends: bool) -> None:
        """`form`: name of the format. `ends`: whether the stage ends, or a warning is enough."""
        self._role = role
        self._form = form
        self._ends = ends
        self._finished = 0
        self._example = ""
        self._settled = False

    def count(self, trace: Trace) -> None:
        """Count a finished rollout; raises SearchTrainError when none of the first is valid."""
        if self._settled or not trace.sample:
            return
        self._finished += 1
        self._example = self._example or trace.sample
        self._settled = bool(trace.valid) or self._finished == FIRST
        if trace.valid or self._finished < FIRST:
            return
        role = self._role
        fault = (
            f"none of the first {FIRST} rollouts has a turn that can be read, for instance"
            f" {quote_text(self._example, SHOWN)}; look at models.{role.name}.reasoning"
            f" ({role.reasoning}), format ({self._form}) and dialect ({role.dialect})"
        )
        if self._ends:
            raise SearchTrainError(fault)
        logger.warning("%s", fault)
