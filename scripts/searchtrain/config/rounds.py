"""What an SFT round does: how it rolls out and how it trains, from the first round to the last.

Invariant: the first round is the teacher's rollouts and the recipe of `train`; later ones differ in
what section `rounds` says and in nothing else.
"""

from dataclasses import dataclass

from searchtrain.config.config import Config
from searchtrain.config.limits import Limits
from searchtrain.config.models import Sampling
from searchtrain.config.rows import Rows
from searchtrain.config.training import Train
from searchtrain.config.trials import Candidate


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


UNPACKED = {"neat_packing": False, "packing": False}
"""What preference training can not do."""


def name_candidate(place: str) -> str:
    """The name of the candidate whose place below the results it is (`trials/<name>/`); empty: it
    is none's."""
    return place.removeprefix("trials/").removesuffix("/") if place.startswith("trials/") else ""


def find_candidate(config: Config, place: str) -> Candidate | None:
    """The candidate of a place; None: it is none's."""
    return config.trials.candidates.get(name_candidate(place))


def plan_rows(config: Config, place: str) -> Rows:
    """The rows of a data set: `rows`, with what the candidate of the place changes."""
    candidate = find_candidate(config, place)
    changes = candidate.rows if candidate else {}
    return Rows.parse({**config.rows.model_dump(), **changes}, f"{place}rows" * bool(changes))


def plan_training(config: Config, number: int, place: str = "") -> Train:
    """How round `number` trains: `train`, with the changes of `rounds.args` from the second on, and
    of the candidate of the place.

    Records that stand in an order are read in it.
    """
    values, name = config.train.model_dump(), "rounds" * (number > 1)
    args = values["args"] | (config.rounds.args if number > 1 else {})
    if candidate := find_candidate(config, place):
        name = place
        if candidate.preference:
            values["attention"] = None
            args |= UNPACKED
        args |= candidate.args
    if config.curate.order == "hardest":
        args["disable_shuffling"] = True
    return Train.parse({**values, "args": args}, name)


def limit_epochs(settings: Train, most: int | None) -> Train:
    """The same training of so many epochs at most; None, or where steps decide: as it is."""
    args = settings.args
    if most is None or args.get("max_steps", -1) > 0 or args.get("num_train_epochs", 3) <= most:
        return settings
    values = {**settings.model_dump(), "args": {**args, "num_train_epochs": most}}
    return Train.parse(values, "train")


def list_data_places(config: Config, place: str) -> list[str]:
    """Where the kept rollouts lie that the data set of a place is made of, the teacher's first."""
    if place == "pilot/":
        return [place]
    number = read_round(place or "1")  # a trial's is the first
    rounds = range(1, number + 1) if config.rounds.data == "all" else [number]
    return ["" if each == 1 else f"rounds/{each}/" for each in rounds]


def read_round(text: str) -> int:
    """The number of a round from its number or its place below the results (`rounds/2/`); a pilot
    (`pilot/`) is the first round on some questions, a trial (`trials/<name>/`) learns from it."""
    if text == "pilot/" or text.startswith("trials/"):
        return 1
    number = int(text.strip("/").rpartition("/")[2])
    if number < 1:
        raise ValueError(text)
    return number
