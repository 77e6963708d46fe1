"""Settings of the trials: trainings of the student that dev decides between."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from searchtrain.config.section import Section, setting, wiring
from searchtrain.config.values import Natural, Text

AVERAGE = "average"
"""The name of the candidate that is a mean of others' weights."""


class Candidate(Section):
    """One training, as far as it differs from `train` and `rows`."""

    args: dict[str, Any] = setting({}, "changes to train.args")
    rows: dict[str, Any] = setting({}, "changes to rows")
    preference: bool = setting(False, "DPO on the pairs of `preferences`, on top of `after`")
    after: Text | None = setting(None, "the candidate that it goes on from")


class Trials(Section):
    """Candidates for results/checkpoint: each is trained and answers dev, and the best on dev is
    the student. What a candidate changes is laid over `train.args` and `rows`."""

    candidates: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], Candidate] = wiring(
        {}, "name: what it changes, the first the last to be left out; none: train as it stands"
    )
    average: Natural = setting(
        0,
        "the mean of the weights of the first candidate's last so many saved states is a candidate,"
        " too (train.args.save_strategy, save_total_limit); 0: none",
        reader="average",
    )

    @model_validator(mode="after")
    def _check_candidates(self) -> Self:
        for name, candidate in self.candidates.items():
            if name == AVERAGE:
                raise ValueError(f"candidates.{name}: this is what trials.average makes; rename it")
            if candidate.after is not None and candidate.after not in self.candidates:
                raise ValueError(
                    f"candidates.{name}.after: {candidate.after}: no candidate; name one of"
                    f" {', '.join(self.candidates)}"
                )
            if candidate.preference and candidate.after is None:
                raise ValueError(
                    f"candidates.{name}.after: missing; preference training goes on from a"
                    " candidate that has learnt to search"
                )
            if candidate.preference and candidate.rows:
                raise ValueError(f"candidates.{name}.rows: pairs have none; take it out")
        for name in self.candidates:
            self._list_before(name)
        if self.average and not self.candidates:
            raise ValueError("average: there is no candidate to average; name one")
        return self

    def _list_before(self, name: str) -> list[str]:
        """The candidates that one goes on from; raises ValueError for a circle."""
        before = [name]
        while (after := self.candidates[before[-1]].after) is not None:
            if after in before:
                raise ValueError(
                    f"candidates.{name}.after: goes in a circle: {' -> '.join([*before, after])}"
                )
            before.append(after)
        return before[1:]
