"""The stages of a run: how much each requests of models, and how long it takes.

A rollout of T turns takes T requests and its prompt grows: request k reads system + question +
(k-1) turns and observations. Of that a server with a prefix cache has read all but what is new: the
question, then one observation a request (every system prompt but the first is shared). Invariant:
a stage without rates has no hours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import comb
from operator import add
from typing import Literal, NamedTuple

from searchtrain.config import Config


class Work(NamedTuple):
    """What requests to a model amount to."""

    requests: float
    prompt: float
    fresh: float
    """Prompt tokens that no prefix cache has."""
    output: float


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage's work and time; `hours` (wall clock) and `gpu_hours` are None without rates."""

    name: str
    items: int
    """Passages, questions, rollouts or records."""
    requests: int = 0
    prompt_tokens: int = 0
    cached_share: float = 0.0
    """Of the prompt tokens, those that a prefix cache has."""
    output_tokens: int = 0
    """Written by the model; of training, the tokens trained on."""
    gpus: int = 0
    hours: float | None = None
    beside: str | None = None
    """The stage that runs at the same time."""
    missing: str = ""
    """The setting without which there are no hours."""

    @property
    def gpu_hours(self) -> float | None:
        """GPUs held times wall clock."""
        return None if self.hours is None else self.hours * self.gpus


def plan_stages(config: Config, counts: Mapping[str, int]) -> list[Stage]:
    """Every stage that is planned, in the order of the run; a stage is named like its rule.

    `counts`: questions of train, dev and test.
    """
    return [
        _plan_index(config),
        _plan_tagging(config, counts["train"]),
        _plan_trajectories(config, counts),
        _plan_training(config, counts),
        *_plan_predictions(config, counts),
    ]


def count_rolled_out(config: Config, counts: Mapping[str, int]) -> int:
    """Training questions that the teacher answers."""
    total = config.sample.total
    return counts["train"] if total is None else min(total, counts["train"])


def _plan_index(config: Config) -> Stage:
    """Corpus, BM25 index and, with an encoder, the passages' vectors."""
    rates, passages = config.plan.rates, config.plan.passages
    encoded = rates.encoding.passages
    gpus = rates.encoding.gpus if encoded else 0
    # A BM25 index needs no GPU, so it is built while a teacher tags.
    stage = Stage("index", passages or 0, beside=None if gpus else "tag")
    if not passages or rates.index is None:
        return replace(stage, missing="plan.rates.index" if passages else "plan.passages")
    hours = passages / 1e6 * rates.index / 3600
    if encoded:
        hours += passages / encoded / 3600
    return replace(stage, gpus=gpus, hours=hours)


def _plan_tagging(config: Config, questions: int) -> Stage:
    """One request for each training question, before any is sampled."""
    tokens = config.plan.tokens
    each = (1, tokens.tag_system + tokens.question, tokens.question, tokens.tag_answer)
    work = Work(*(questions * amount for amount in each))
    return _time_requests(config, "tag", "teacher", questions, work, searches=0)


def _plan_trajectories(config: Config, counts: Mapping[str, int]) -> Stage:
    number = count_rolled_out(config, counts) * config.trajectories.rollouts
    plan = config.plan
    work = _count_rollouts(config, number, plan.turns, plan.tokens.teacher_system)
    searches, shards = number * (plan.turns - 1), config.trajectories.shards
    return _time_requests(config, "trajectories", "teacher", number, work, searches, shards)


def _plan_training(config: Config, counts: Mapping[str, int]) -> Stage:
    plan, train = config.plan, config.train
    args, tokens, rates = train.args, plan.tokens, plan.rates.training
    records = _count_kept(config, count_rolled_out(config, counts))
    length = (
        tokens.student_system + tokens.question + plan.turns * tokens.turn
        + (plan.turns - 1) * tokens.observation
    )  # fmt: skip
    steps = args.get("max_steps", -1)
    if steps > 0:
        rows = steps * train.processes * args.get("per_device_train_batch_size", 1)
        rows *= args.get("gradient_accumulation_steps", 1)
        packed = args.get("neat_packing") or args.get("packing")
        trained = rows * (args["cutoff_len"] if packed else length)
    else:
        trained = records * length * args.get("num_train_epochs", 3)
    stage = Stage("checkpoint", records, output_tokens=round(trained), gpus=train.gpu)
    if rates.tokens is None:
        return replace(stage, missing="plan.rates.training.tokens")
    seconds = rates.start + trained / (rates.tokens * max(train.gpu, 1))
    return replace(stage, hours=seconds / 3600)


def _plan_predictions(config: Config, counts: Mapping[str, int]) -> list[Stage]:
    """Dev and test, the test closed-book where its answers are known; and the base's answers to the
    test, or else to dev: searching as the teacher does, and after one search."""
    turns, system = config.plan.turns, config.plan.tokens.student_system
    scored = config.data.test_answers is not None

    number, closed = counts["dev"] + counts["test"], counts["test"] * scored
    searching = _count_rollouts(config, number, turns, system)
    # Closed-book a rollout takes two requests: the turn that would search is thrown away.
    alone = _count_rollouts(config, 2 * closed, 1, system)
    work, searches = Work(*map(add, searching, alone)), number * (turns - 1)
    stages = [_time_requests(config, "predict", "student", number + closed, work, searches)]
    if config.predict.untrained and not config.models.student.endpoint:
        number, tokens = counts["test" if scored else "dev"], config.plan.tokens
        searching = _count_rollouts(config, number, turns, tokens.teacher_system)
        reading = _count_rollouts(config, number, 1, system + tokens.observation)
        work, searches = Work(*map(add, searching, reading)), number * turns
        name = "predict_untrained"
        stages.append(_time_requests(config, name, "student", 2 * number, work, searches))
    return stages


def _count_rollouts(config: Config, number: int, turns: float, system: float) -> Work:
    tokens = config.plan.tokens
    grown = (tokens.turn + tokens.observation) * turns * (turns - 1) / 2
    return Work(
        number * turns,
        number * (turns * (system + tokens.question) + grown),
        number * (tokens.question + (turns - 1) * tokens.observation),
        number * turns * tokens.turn,
    )


def _time_requests(
    config: Config,
    name: str,
    role: Literal["teacher", "student"],
    items: int,
    work: Work,
    searches: float,
    shards: int = 1,
) -> Stage:
    """A stage of requests, as long as what takes longest: reading what no prefix cache has, writing
    (the two go on together, and their rates are measured so), or searching.

    Of its `shards`, each with servers of its own, run as many side by side as there are GPUs for.
    """
    plan = config.plan
    rates = plan.rates.teacher if role == "teacher" else plan.rates.student
    servers = max(1, min(shards, plan.gpus // rates.gpus if rates.gpus else 1))
    stage = Stage(
        name,
        items,
        requests=round(work.requests),
        prompt_tokens=round(work.prompt),
        cached_share=round(1 - work.fresh / work.prompt, 4) if work.prompt else 0.0,
        output_tokens=round(work.output),
        gpus=rates.gpus * servers,
    )
    if rates.prompt is None or rates.output is None:
        missing = "prompt" if rates.prompt is None else "output"
        return replace(stage, missing=f"plan.rates.{role}.{missing}")
    seconds = max(work.fresh / rates.prompt, work.output / rates.output) / servers
    if plan.rates.searches is not None:
        seconds = max(seconds, searches / plan.rates.searches / servers)
    return replace(stage, hours=(rates.start + seconds) / 3600)


def _count_kept(config: Config, questions: int) -> int:
    """Records to train on, if each rollout is good enough with the same chance, independently."""
    share, rollouts = config.plan.kept_share, config.trajectories.rollouts
    each = sum(
        min(good, config.curate.per_question)
        * comb(rollouts, good) * share**good * (1 - share) ** (rollouts - good)
        for good in range(rollouts + 1)
    )  # fmt: skip
    kept, limit = round(questions * each), config.curate.max_kept
    return kept if limit is None else min(kept, limit)
