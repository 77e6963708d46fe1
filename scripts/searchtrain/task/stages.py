"""The stages of a run: how much each requests of models, and how long it takes.

Invariant: a stage is named like the path of its rule's timing, and one without rates has no hours.
"""

from collections.abc import Mapping
from dataclasses import replace

from searchtrain.config import Config
from searchtrain.task.amounts import Training, count_rolled_out, count_waves, list_trainings
from searchtrain.task.work import Stage, Work, measure_rollouts, time_requests

UNTRAINED = "predict_untrained"
TRIALS = "trials/"
"""What the names of the stages of candidates begin with."""


def name_stage(rule: str, place: str) -> str:
    """What the stage of a rule at a place is called: `trials/one/checkpoint`."""
    return UNTRAINED if (rule, place) == ("predict", "untrained/") else f"{place}{rule}"


def plan_stages(config: Config, counts: Mapping[str, int]) -> list[Stage]:
    """Every stage that is planned, in the order of the run.

    `counts`: questions of train, dev and test.
    """
    indexed = not config.retriever.endpoint or config.trees.enabled
    return [
        *[_plan_index(config)] * indexed,
        _plan_tagging(config, counts["train"]),
        _plan_trajectories(config, counts),
        *_plan_trainings(config, counts),
        *_plan_predictions(config, counts),
    ]


def _plan_index(config: Config) -> Stage:
    """Corpus, BM25 index and, with an encoder, the passages' vectors."""
    rates, passages = config.plan.rates, config.plan.passages
    encoded = rates.encoding.passages
    gpus = rates.encoding.gpus if encoded else 0
    # A BM25 index needs no GPU, so it is built while a teacher tags.
    stage = Stage("index", "index", passages or 0, beside=None if gpus else "tag")
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
    return time_requests(config, "tag", "teacher", questions, work)


def _plan_trajectories(config: Config, counts: Mapping[str, int]) -> Stage:
    """The waves of rollouts one after the other."""
    waves, plan = count_waves(config, count_rolled_out(config, counts)), config.plan
    shards, system = config.trajectories.shards, plan.tokens.teacher_system

    def time(number: float) -> Stage:
        work = measure_rollouts(config, number, plan.turns, system)
        return time_requests(config, "trajectories", "teacher", round(number), work, shards)

    start, parts = plan.rates.teacher.start / 3600, {}
    for name, number, left in zip(
        ("first", "more", "hinted"), (waves.first, waves.more, waves.hinted), waves.unsolved,
        strict=True,
    ):  # fmt: skip
        own = time(number)
        hours = {} if own.hours is None else {"hours": round(own.hours - start, 4)}
        parts[name] = {"rollouts": round(number), "unsolved": round(left, 4), **hours}
    return replace(time(waves.total), parts=parts)


def _plan_trainings(config: Config, counts: Mapping[str, int]) -> list[Stage]:
    """The trainings, each candidate's with its answers to dev behind it."""
    trainings = list_trainings(config, counts)
    stages = []
    for training in trainings:
        stages.append(_plan_training(config, training))
        if training.name:
            place = f"{TRIALS}{training.name}/"
            stages.append(_plan_dev(config, f"{place}predict", counts))
    if config.trials.candidates and config.trials.average:
        stages.append(_plan_dev(config, f"{TRIALS}average/predict", counts))
    return stages


def _plan_training(config: Config, training: Training) -> Stage:
    rates, gpus = config.plan.rates.training, config.train.gpu
    name = f"{TRIALS}{training.name}/checkpoint" if training.name else "checkpoint"
    tokens = round(training.tokens)
    stage = Stage(name, "training", training.records, output_tokens=tokens, gpus=gpus)
    if rates.tokens is None:
        return replace(stage, missing="plan.rates.training.tokens")
    seconds = rates.start + training.tokens / (rates.tokens * max(gpus, 1))
    return replace(stage, hours=seconds / 3600)


def _plan_dev(config: Config, name: str, counts: Mapping[str, int]) -> Stage:
    """A candidate's answers to dev."""
    turns, system = config.plan.turns, config.plan.tokens.student_system
    work = measure_rollouts(config, counts["dev"], turns, system)
    return time_requests(config, name, "student", counts["dev"], work)


def _plan_predictions(config: Config, counts: Mapping[str, int]) -> list[Stage]:
    """Dev and test, the test closed-book where its answers are known; and the base's answers to the
    test, or else to dev: searching as the teacher does, and after one search."""
    turns, system = config.plan.turns, config.plan.tokens.student_system
    scored = config.data.test_answers is not None

    number, closed = counts["dev"] + counts["test"], counts["test"] * scored
    work = measure_rollouts(config, number, turns, system)
    # Closed-book a rollout takes two requests: the turn that would search is thrown away.
    work = work.plus(measure_rollouts(config, 2 * closed, 1, system))
    stages = [time_requests(config, "predict", "student", number + closed, work)]
    if config.predict.untrained and not config.models.student.endpoint:
        number, tokens = counts["test" if scored else "dev"], config.plan.tokens
        searching = measure_rollouts(config, number, turns, tokens.teacher_system)
        reading = measure_rollouts(config, number, 1, system + tokens.observation)
        work = searching.plus(reading.plus(Work(searches=number)))
        stages.append(time_requests(config, UNTRAINED, "student", 2 * number, work))
    return stages
