"""How much of everything a config asks for: waves of rollouts, kept rollouts, rows, trainings.

Invariant: what is read here of other sections is all that the plan of hours knows of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from searchtrain.agent.waves import AT_ONCE
from searchtrain.config import Config, Rows
from searchtrain.task.work import measure_record
from searchtrain.task.yields import fit_yield

PASSES = 8 / 3
"""Forward and backward passes over a preference pair in those over one record as long as one of its
sides: two sides, and the reference model's forward pass beside each forward and backward."""


@dataclass(frozen=True, slots=True)
class Waves:
    """Rollouts of a run by wave."""

    first: int
    more: float
    hinted: float
    unsolved: tuple[float, float, float]
    """Share of the questions without a rollout that is kept, after each wave."""
    kept: float
    """Rollouts kept of a question on average."""

    @property
    def total(self) -> int:
        """All rollouts."""
        return round(self.first + self.more + self.hinted)


@dataclass(frozen=True, slots=True)
class Training:
    """One training of the student; without trials there is one, without a name."""

    name: str
    records: int
    tokens: float
    """Trained on, all epochs."""
    after: str | None = None
    """The training that it goes on from."""


def count_rolled_out(config: Config, counts: Mapping[str, int]) -> int:
    """Training questions that the teacher answers."""
    total = config.sample.total
    return counts["train"] if total is None else min(total, counts["train"])


def count_waves(config: Config, questions: int) -> Waves:
    """The rollouts of so many questions, and what they leave unsolved (`task.yields`).

    More rollouts of an unsolved question, some at a time, end with the first one that is kept; a
    hint solves `plan.hinted_share` of what is left.
    """
    section, chances = config.trajectories, fit_yield(config.plan)
    first, more, hints = section.rollouts, section.more.rollouts, section.hints.rollouts
    left = chances.leave_unsolved(first)
    later = chances.leave_unsolved(first + more)
    hinted = config.plan.hinted_share if hints else 0.0
    tried = sum(
        min(AT_ONCE, more - number) * chances.leave_unsolved(first + number)
        for number in range(0, more, AT_ONCE)
    )
    kept = chances.keep(first, config.curate.per_question)
    return Waves(
        questions * first,
        questions * tried,
        questions * later * hints,
        (left, later, later * (1 - hinted)),
        kept + left - later + later * hinted,
    )


def count_kept(config: Config, counts: Mapping[str, int]) -> int:
    """Kept rollouts, each a record to train on; `counts["kept"]` where they are there already."""
    if "kept" in counts:
        return counts["kept"]
    questions, most = count_rolled_out(config, counts), config.curate.max_kept
    kept = round(questions * count_waves(config, questions).kept)
    return kept if most is None else min(kept, most)


def list_trainings(config: Config, counts: Mapping[str, int]) -> list[Training]:
    """Every training of a run: of each candidate of `trials`, and without any, the one of `train`.

    `counts`: questions of train, dev and test.
    """
    kept, candidates = count_kept(config, counts), config.trials.candidates
    if not candidates:
        return [_describe(config, "", kept, {}, config.rows)]
    return [
        _describe_pairs(config, name, counts, each.args, each.after)
        if each.preference
        else _describe(config, name, kept, each.args, config.rows.model_copy(update=each.rows))
        for name, each in candidates.items()
    ]


def _describe(
    config: Config, name: str, kept: int, changes: Mapping[str, Any], rows: Rows
) -> Training:
    """Training on so many kept rollouts and the rows made of them."""
    args, length = {**config.train.args, **changes}, measure_record(config)
    records = round(kept * (1 + rows.reader + rows.answers))
    steps = args.get("max_steps", -1)
    if steps > 0:
        number = steps * config.train.processes * args.get("per_device_train_batch_size", 1)
        number *= args.get("gradient_accumulation_steps", 1)
        packed = args.get("neat_packing") or args.get("packing")
        return Training(name, records, number * (args["cutoff_len"] if packed else length))
    tokens = config.plan.tokens
    shown = (config.plan.turns - 1) * tokens.observation
    reading = tokens.student_system + tokens.question + shown + tokens.turn
    trained = kept * (length * (1 + rows.answers) + reading * rows.reader)
    return Training(name, records, trained * args.get("num_train_epochs", 3))


def _describe_pairs(
    config: Config,
    name: str,
    counts: Mapping[str, int],
    changes: Mapping[str, Any],
    after: str | None,
) -> Training:
    settings = config.preferences
    pairs = count_rolled_out(config, counts) * settings.per_question * len(settings.kinds)
    pairs = pairs if settings.max_pairs is None else min(pairs, settings.max_pairs)
    epochs = changes.get("num_train_epochs", 1)
    return Training(name, pairs, pairs * measure_record(config) * PASSES * epochs, after)
