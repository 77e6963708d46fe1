"""What requests to models amount to, and how long servers take for them.

A rollout of T turns takes T requests and its prompt grows: request k reads system + question +
(k-1) turns and observations. Of that a server with a prefix cache has read all but what is new: the
question, then one observation a request (every system prompt but the first is shared). Invariant:
a stage without rates has no hours.
"""

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from searchtrain.config import Config


class Work(NamedTuple):
    """What requests to a model amount to."""

    requests: float = 0.0
    prompt: float = 0.0
    fresh: float = 0.0
    """Prompt tokens that no prefix cache has."""
    output: float = 0.0
    searches: float = 0.0

    def plus(self, other: "Work") -> "Work":
        """Both."""
        return Work(*(mine + its for mine, its in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage's work and time; `hours` (wall clock) and `gpu_hours` are None without rates."""

    name: str
    kind: str
    """What its speed is that of: stages of one kind are late together."""
    items: int
    """Passages, questions, rollouts or records."""
    requests: int = 0
    prompt_tokens: int = 0
    cached_share: float = 0.0
    """Of the prompt tokens, those that a prefix cache has."""
    output_tokens: int = 0
    """Written by the model; of training, the tokens trained on."""
    gpus: int = 0
    servers: int = 1
    """Servers side by side, each with a shard of the work."""
    hours: float | None = None
    beside: str | None = None
    """The stage that runs at the same time."""
    missing: str = ""
    """The setting without which there are no hours."""
    parts: dict[str, dict[str, float]] = field(default_factory=dict)
    """What it consists of, where that may be left out: of rollouts the waves."""

    @property
    def gpu_hours(self) -> float | None:
        """GPUs held times wall clock."""
        return None if self.hours is None else self.hours * self.gpus


def measure_rollouts(config: Config, number: float, turns: float, system: float) -> Work:
    """What so many rollouts of so many turns ask for, the last turn an answer."""
    tokens = config.plan.tokens
    grown = (tokens.turn + tokens.observation) * turns * (turns - 1) / 2
    return Work(
        number * turns,
        number * (turns * (system + tokens.question) + grown),
        number * (tokens.question + (turns - 1) * tokens.observation),
        number * turns * tokens.turn,
        number * (turns - 1),
    )


def measure_record(config: Config) -> float:
    """Tokens of a record: the conversation of a rollout under the student's prompt."""
    tokens, turns = config.plan.tokens, config.plan.turns
    written, shown = turns * tokens.turn, (turns - 1) * tokens.observation
    return tokens.student_system + tokens.question + written + shown


def time_requests(
    config: Config, name: str, role: Literal["teacher", "student"], items: int, work: Work,
    shards: int = 1,
) -> Stage:  # fmt: skip
    """A stage of requests, as long as what takes longest: reading what no prefix cache has, writing
    (the two go on together, and their rates are measured so), or searching.

    Of its `shards`, each with servers of its own, run as many side by side as there are GPUs for.
    """
    rates = config.plan.rates.teacher if role == "teacher" else config.plan.rates.student
    servers = count_servers(config, role, shards)
    stage = Stage(
        name,
        name if name == "tag" else role,
        items,
        requests=round(work.requests),
        prompt_tokens=round(work.prompt),
        cached_share=round(1 - work.fresh / work.prompt, 4) if work.prompt else 0.0,
        output_tokens=round(work.output),
        gpus=rates.gpus * servers,
        servers=servers,
    )
    if rates.prompt is None or rates.output is None:
        missing = "prompt" if rates.prompt is None else "output"
        return replace(stage, missing=f"plan.rates.{role}.{missing}")
    seconds = max(work.fresh / rates.prompt, work.output / rates.output) / servers
    if config.plan.rates.searches is not None:
        seconds = max(seconds, work.searches / config.plan.rates.searches / servers)
    return replace(stage, hours=(rates.start + seconds) / 3600)


def count_servers(config: Config, role: Literal["teacher", "student"], shards: int = 1) -> int:
    """Servers of a role that work side by side for a stage."""
    plan = config.plan
    gpus = (plan.rates.teacher if role == "teacher" else plan.rates.student).gpus
    return max(1, min(shards, plan.gpus // gpus if gpus else 1))
