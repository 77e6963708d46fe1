"""Settings of the trials: trainings of the student that dev decides between."""

from typing import Annotated, Any

from pydantic import Field

from searchtrain.config.section import Section, setting
from searchtrain.config.values import Natural, Text


class Candidate(Section):
    """One training, as far as it differs from `train` and `rows`."""

    args: dict[str, Any] = setting({}, "changes to train.args")
    rows: dict[str, Any] = setting({}, "changes to rows")
    preference: bool = setting(False, "DPO on the pairs of `preferences`, on top of `after`")
    after: Text | None = setting(None, "the candidate that it goes on from")


class Trials(Section):
    """Candidates for results/checkpoint: the best by dev is the one."""

    candidates: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], Candidate] = setting(
        {}, "name: what it changes, the first the last to be left out; none: train as it stands"
    )
    average: Natural = setting(
        0, "the mean of the weights of so many last saved states is a candidate, too; 0: none"
    )
