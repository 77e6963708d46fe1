"""What a run that is late leaves out, in an order that plan.md says beforehand.

The order is that of worth (recipe: volume of teacher rollouts first, choices among trainings last).
Invariant: each cut contains the ones before it, and no cut touches the first rollouts of a
question, the first candidate or its first epoch.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from math import ceil

from searchtrain.config import Config, read_config


@dataclass(frozen=True, slots=True)
class Cut:
    """A config with less in it than the one before."""

    what: str
    """What is left out, in words."""
    config: Config
    trials: tuple[str, ...] = ()
    """Names of all candidates that are left out so far."""
    epochs: int | None = None
    """The most that any training has; None: as the config says."""


def list_cuts(config: Config) -> list[Cut]:
    """Every cut of a config, in their order."""
    return list(_make_cuts(config))


def _make_cuts(config: Config) -> Iterator[Cut]:
    names = list(config.trials.candidates)
    dropped: tuple[str, ...] = ()
    values = config.model_dump()
    for name in reversed(names[1:]):
        dropped = (name, *dropped)
        del values["trials"]["candidates"][name]
        yield Cut(f"candidate {name}", read_config(values), dropped)
    for key, words in (("hints", "rollouts with hints"), ("more", "more rollouts")):
        if values["trajectories"][key]["rollouts"]:
            values["trajectories"][key]["rollouts"] = 0
            yield Cut(words, read_config(values), dropped)
    for most in range(count_epochs(read_config(values)) - 1, 0, -1):
        for section in (values["train"], *values["trials"]["candidates"].values()):
            if section["args"].get("num_train_epochs", 0) > most:
                section["args"]["num_train_epochs"] = most
        yield Cut(f"epochs beyond {most}", read_config(values), dropped, most)


def drop_candidates(config: Config, names: Collection[str]) -> Config:
    """The config without some candidates."""
    values = config.model_dump()
    for name in names:
        values["trials"]["candidates"].pop(name, None)
    return read_config(values)


def count_epochs(config: Config) -> int:
    """The most whole epochs of a training; 0 where steps decide how long it is."""
    changes = [each.args for each in config.trials.candidates.values() if not each.preference]
    most = 0.0
    for args in ({**config.train.args, **each} for each in changes or [{}]):
        if args.get("max_steps", -1) <= 0:
            most = max(most, args.get("num_train_epochs", 3))
    return ceil(most)
