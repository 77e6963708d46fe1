"""The stages of a run: how much each requests of models, and how long it takes.

A rollout of T turns takes T requests and its prompt grows: request k reads system + question +
(k-1) turns and observations. Of that a server with a prefix cache has read all but what is new: the
question, then one observation a request (every system prompt but the first is shared). Invariant:
a stage without rates has no hours.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import comb
from typing import Any

Work = tuple[float, float, float, float]
"""Requests, prompt tokens, prompt tokens that no prefix cache has, output tokens."""


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


def plan_stages(config: Mapping[str, Any], counts: Mapping[str, int]) -> list[Stage]:
    """Every stage that is planned, in the order of the run; a stage is named like its rule.

    `config`: the sections of `plan.SECTIONS`; `counts`: questions of train, dev and test.
    """
    return [
        _plan_index(config),
        _plan_tagging(config, counts),
        _plan_trajectories(config, counts),
        _plan_training(config, counts),
        *_plan_predictions(config, counts),
    ]


def count_rolled_out(config: Mapping[str, Any], counts: Mapping[str, int]) -> int:
    """Training questions that the teacher answers."""
    total: int | None = config["sample"]["total"]
    return counts["train"] if total is None else min(total, counts["train"])


def _plan_index(config: Mapping[str, Any]) -> Stage:
    """Corpus, BM25 index and, with an encoder, the passages' vectors."""
    plan = config["plan"]
    rates, passages = plan["rates"], plan["passages"]
    # A BM25 index needs no GPU, so it is built while a teacher tags.
    name, dense = "index", rates["encoding"]["passages"] is not None
    gpus = rates["encoding"]["gpus"] if dense else 0
    beside = None if gpus else "tag"
    if not passages or rates["index"] is None:
        missing = "plan.rates.index" if passages else "plan.passages"
        return Stage(name, passages or 0, beside=beside, missing=missing)
    hours = passages / 1e6 * rates["index"] / 3600
    if dense:
        hours += passages / rates["encoding"]["passages"] / 3600
    return Stage(name, passages, gpus=gpus, hours=hours, beside=beside)


def _plan_tagging(config: Mapping[str, Any], counts: Mapping[str, int]) -> Stage:
    """One request for each training question, before any is sampled."""
    tokens, questions = config["plan"]["tokens"], counts["train"]
    work = (
        questions,
        questions * (tokens["tag_system"] + tokens["question"]),
        questions * tokens["question"],
        questions * tokens["tag_answer"],
    )
    return _time_requests(config, "tag", "teacher", questions, work, searches=0)


def _plan_trajectories(config: Mapping[str, Any], counts: Mapping[str, int]) -> Stage:
    number = count_rolled_out(config, counts) * config["trajectories"]["rollouts"]
    plan = config["plan"]
    work = _count_rollouts(number, plan["turns"], plan["tokens"]["teacher_system"], plan["tokens"])
    searches = number * (plan["turns"] - 1)
    shards = config["trajectories"]["shards"]
    return _time_requests(config, "trajectories", "teacher", number, work, searches, shards)


def _plan_training(config: Mapping[str, Any], counts: Mapping[str, int]) -> Stage:
    plan, train = config["plan"], config["train"]
    args, tokens, rates = train["args"], plan["tokens"], plan["rates"]["training"]
    records = _count_kept(config, count_rolled_out(config, counts))
    length = (
        tokens["student_system"] + tokens["question"] + plan["turns"] * tokens["turn"]
        + (plan["turns"] - 1) * tokens["observation"]
    )  # fmt: skip
    steps = args.get("max_steps", -1)
    if steps > 0:
        rows = steps * train["processes"] * args.get("per_device_train_batch_size", 1)
        rows *= args.get("gradient_accumulation_steps", 1)
        packed = args.get("neat_packing") or args.get("packing")
        trained = rows * (args["cutoff_len"] if packed else length)
    else:
        trained = records * length * args.get("num_train_epochs", 3)
    stage = {"items": records, "output_tokens": round(trained), "gpus": train["gpu"]}
    if rates["tokens"] is None:
        return Stage("checkpoint", **stage, missing="plan.rates.training.tokens")
    seconds = rates["start"] + trained / (rates["tokens"] * max(train["gpu"], 1))
    return Stage("checkpoint", **stage, hours=seconds / 3600)


def _plan_predictions(config: Mapping[str, Any], counts: Mapping[str, int]) -> list[Stage]:
    """Dev and test; where the test's answers are known closed-book and by the base, too."""
    plan, tokens = config["plan"], config["plan"]["tokens"]
    scored = config["data"]["test_answers"] is not None

    def answer(name: str, searching: int, closed: int) -> Stage:
        open_book = _count_rollouts(searching, plan["turns"], tokens["student_system"], tokens)
        # Closed-book a rollout takes two requests: the turn that would search is thrown away.
        alone = _count_rollouts(2 * closed, 1, tokens["student_system"], tokens)
        work = _add_work(open_book, alone)
        searches = searching * (plan["turns"] - 1)
        return _time_requests(config, name, "student", searching + closed, work, searches)

    stages = [answer("predict", counts["dev"] + counts["test"], counts["test"] * scored)]
    if scored and config["predict"]["untrained"] and not config["models"]["student"]["endpoint"]:
        stages.append(answer("predict_untrained", counts["test"], 0))
    return stages


def _count_rollouts(number: int, turns: float, system: float, tokens: Mapping[str, float]) -> Work:
    question, turn, observation = (tokens[key] for key in ("question", "turn", "observation"))
    grown = (turn + observation) * turns * (turns - 1) / 2
    return (
        number * turns,
        number * (turns * (system + question) + grown),
        number * (question + (turns - 1) * observation),
        number * turns * turn,
    )


def _add_work(first: Work, second: Work) -> Work:
    requests, prompt, fresh, output = (a + b for a, b in zip(first, second, strict=True))
    return requests, prompt, fresh, output


def _time_requests(
    config: Mapping[str, Any],
    name: str,
    role: str,
    items: int,
    work: Work,
    searches: float,
    shards: int = 1,
) -> Stage:
    """A stage of requests, as long as what takes longest: reading what no prefix cache has, writing
    (the two go on together, and their rates are measured so), or searching.

    Of its `shards`, each with servers of its own, run as many side by side as there are GPUs for.
    """
    requests, prompt, fresh, output = work
    rates, search = config["plan"]["rates"][role], config["plan"]["rates"]["searches"]
    fitting = config["plan"]["gpus"] // rates["gpus"] if rates["gpus"] else 1
    servers = max(1, min(shards, fitting))
    stage = Stage(
        name,
        items,
        requests=round(requests),
        prompt_tokens=round(prompt),
        cached_share=round(1 - fresh / prompt, 4) if prompt else 0.0,
        output_tokens=round(output),
        gpus=rates["gpus"] * servers,
    )
    for key in ("prompt", "output"):
        if rates[key] is None:
            return Stage(**{**asdict(stage), "missing": f"plan.rates.{role}.{key}"})
    seconds = max(fresh / rates["prompt"], output / rates["output"]) / servers
    if search is not None:
        seconds = max(seconds, searches / search / servers)
    return Stage(**{**asdict(stage), "hours": (rates["start"] + seconds) / 3600})


def _count_kept(config: Mapping[str, Any], questions: int) -> int:
    """Records to train on, if each rollout is good enough with the same chance, independently."""
    share, rollouts = config["plan"]["kept_share"], config["trajectories"]["rollouts"]
    most: int = config["curate"]["per_question"]
    each = sum(
        min(good, most) * comb(rollouts, good) * share**good * (1 - share) ** (rollouts - good)
        for good in range(rollouts + 1)
    )
    kept: int = round(questions * each)
    limit: int | None = config["curate"]["max_kept"]
    return kept if limit is None else min(kept, limit)
