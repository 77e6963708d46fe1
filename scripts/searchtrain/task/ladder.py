"""The steps in which a plan that has hours left is made larger, the most useful first.

Where each ends is what is published (shared notes on search agents that learn by SFT): first all
questions with 8 rollouts each, of unsolved ones 16 more, then a hint (STaR); one to three different
rollouts a question; at most 3 epochs; then candidates that dev decides between. Beyond that, chains
from 4 to 16 a question raise a score little and then not at all (CoRAG), while more tries at hard
questions alone still add solved ones (DART-Math), so hours go there and into candidates. Invariant:
a rung never asks for less than the one before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from searchtrain.config import Config

READER = {"reader": 1}
CLOSING = {"reader": 1, "answers": 1}
HEAVY = {"reader": 2, "answers": 1}
MIXTURES = {
    "": dict[str, int](), "_reader": READER, "_closing": CLOSING, "_heavy": HEAVY,
}  # fmt: skip
SEEDS = (43, 44)


@dataclass(frozen=True, slots=True)
class Rung:
    """One step: settings that are laid over the config."""

    key: str
    """What it raises; behind a rung that does not fit, no other of the same key is tried."""
    changes: dict[str, Any]
    why: str


def list_rungs(config: Config) -> list[Rung]:
    """The ladder of a config."""
    rate = float(config.train.args.get("learning_rate", 1e-5))
    return [
        *(_raise("trajectories.rollouts", n, "first wave, every question") for n in (2, 4)),
        *(_raise("train.args.num_train_epochs", n, "epochs") for n in (2, 3)),
        _raise("trajectories.rollouts", 8, "first wave, every question"),
        *(_raise("trajectories.more.rollouts", n, "unsolved questions only") for n in (8, 16)),
        _raise("trajectories.hints.rollouts", 4, "what is left, with a hint"),
        *(_raise("curate.per_question", n, "different rollouts of a question") for n in (2, 3)),
        _try("plain", {}, {}, "candidate: rollouts alone"),
        _try("reader", {}, READER, "candidate: with rows that teach reading (CoRAG)"),
        _try("closing", {}, CLOSING, "candidate: answers with more weight, too (SearchSkill)"),
        _try("heavy", {}, HEAVY, "candidate: twice the rows that teach reading"),
        *(
            _try(f"{name}{mixture}", {"learning_rate": rate * factor}, rows, "candidate: step size")
            for mixture, rows in MIXTURES.items()
            for name, factor in (("low", 0.5), ("high", 2.0))
        ),
        *(
            _try(f"short{mixture}", {"num_train_epochs": 2}, rows, "candidate: fewer epochs")
            for mixture, rows in MIXTURES.items()
        ),
        *(_raise("trajectories.more.rollouts", n, "unsolved questions only") for n in (32, 48)),
        *(_raise("trajectories.rollouts", n, "first wave, little is published") for n in (12, 16)),
        *(
            _try(f"seed{seed}{mixture}", {"seed": seed}, rows, "candidate: how much chance decides")
            for seed in SEEDS
            for mixture, rows in MIXTURES.items()
        ),
        *(_raise("trajectories.more.rollouts", n, "unsolved questions only") for n in (64, 96)),
    ]


def find_floor(config: Config) -> dict[str, Any]:
    """The least that is proposed: every question once, one epoch, one candidate or none."""
    return {
        "trajectories": {"rollouts": 1, "more": {"rollouts": 0}, "hints": {"rollouts": 0}},
        "curate": {"per_question": 1},
        "train": {"args": {"num_train_epochs": 1}},
    }


def _raise(key: str, value: int, why: str) -> Rung:
    changes: Any = value
    for part in reversed(key.split(".")):
        changes = {part: changes}
    return Rung(key, changes, why)


def _try(name: str, args: Mapping[str, Any], rows: Mapping[str, Any], why: str) -> Rung:
    candidate = {"args": dict(args), "rows": dict(rows)}
    return Rung(f"trials.{name}", {"trials": {"candidates": {name: candidate}}}, why)
