"""What an SFT round does: how it rolls out and how it trains, from the first round to the last.

Invariant: the first round is the teacher's rollouts and the recipe of `train`; later ones differ in
what section `rounds` says and in nothing else.
"""

from dataclasses import dataclass

from searchtrain.config.config import Config
from searchtrain.config.limits import Limits
from searchtrain.config.models import Sampling
from searchtrain.config.training import Train


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """How one round rolls out."""

    role: str
    """The model that writes: `teacher`, or `student` (the one of the round before)."""
    rollouts: int
    """Per question."""
    questions: int | None
    """Drawn for the round; None: all."""
    seed: int
    sampling: Sampling
    limits: Limits
    accepted: int | None
    """Rollouts that end a question once they pass the curation rules; None: never."""
    more: int = 0
    """Further ones of a question that none has solved."""
    hints: int = 0
    """Last ones of a question that is still unsolved, with a hint."""

    @property
    def judged(self) -> bool:
        """Whether how many rollouts there are depends on which are accepted."""
        return bool(self.accepted or self.more or self.hints)


def plan_rollouts(config: Config, number: int) -> RolloutPlan:
    """How round `number` (from 1) rolls out."""
    first, later = config.trajectories, config.rounds
    if number == 1:
        return RolloutPlan(
            "teacher",
            first.rollouts,
            None,
            first.seed,
            first.sampling,
            first.limits,
            first.accepted,
            first.more.rollouts,
            first.hints.rollouts,
        )
    return RolloutPlan(
        "student", later.rollouts, later.questions, later.seed, later.sampling,
        config.predict.limits, None,
    )  # fmt: skip


def plan_training(config: Config, number: int) -> Train:
    """How round `number` trains: `train`, with the changes of `rounds.args` from the second on.

    Records that stand in an order are read in it.
    """
    args = dict(config.train.args) | (config.rounds.args if number > 1 else {})
    if config.curate.order == "hardest":
        args["disable_shuffling"] = True
    return Train.parse({**config.train.model_dump(), "args": args}, "rounds" * (number > 1))


def read_round(text: str) -> int:
    """The number of a round from its number or its place below the results (`rounds/2/`)."""
    number = int(text.strip("/").rpartition("/")[2])
    if number < 1:
        raise ValueError(text)
    return number
