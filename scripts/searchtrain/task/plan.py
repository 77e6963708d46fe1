"""What a run will take, stage by stage, from the config alone: requests, tokens, hours, GPU hours.

A rollout of T turns asks T times and its prompt grows: request k reads system + question + (k-1)
turns and observations. Of that a server with a prefix cache has read all but what is new: the
question, then one observation a request (every system prompt but the first is shared). Invariant:
a stage without rates has no hours, and neither has a total that it belongs to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import comb
from pathlib import Path
from typing import Any

from searchtrain.core.errors import InputError
from searchtrain.core.files import read_json
from searchtrain.core.text_table import format_table

SECTIONS = (
    "task", "plan", "data", "world", "sample", "trajectories", "curate", "train", "predict",
    "models", "refine", "judge", "shortcuts", "trees", "rounds",
)  # fmt: skip
"""The config's sections that a plan depends on."""
STAGES = ("index", "tag", "trajectories", "checkpoint", "predict", "predict_untrained")
"""What is planned, in the order of the run; a stage is named like its rule."""
STAGE_RULES = {"index": ("corpus", "index")}
"""Rules whose time is a stage's, where they are not just the one of its name."""


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


def count_questions(config: Mapping[str, Any], results: str | Path) -> dict[str, int]:
    """Questions of train, dev and test: as `plan.questions` says, else counted in the files.

    Files of the laptop world that are not built yet count as `world.sizes` has them; `results`
    stands for `<results>` in their paths. Raises InputError when a file is not there.
    """
    counts = {}
    for split, given in config["plan"]["questions"].items():
        name = config["data"][split]
        file = Path(name.replace("<results>", str(results), 1))
        if given is not None:
            counts[split] = given
        elif name.startswith("<results>/world/") and not file.exists():
            counts[split] = config["world"]["sizes"][split]
        else:
            counts[split] = len(read_json(file))
    return counts


def make_plan(config: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, Any]:
    """`plan.json`: the stages, their sum, what it rests on and what it leaves out.

    `config`: the sections of `SECTIONS`; `counts`: as from `count_questions`. Raises InputError
    when a stage would need more GPUs than `plan.gpus`.
    """
    stages = [
        _plan_index(config),
        _plan_tagging(config, counts),
        _plan_trajectories(config, counts),
        _plan_training(config, counts),
        *_plan_predictions(config, counts),
    ]
    gpus = config["plan"]["gpus"]
    for stage in stages:
        if stage.gpus > gpus:
            raise InputError(
                f"plan.gpus: {gpus}: {stage.name} needs {stage.gpus}; raise plan.gpus, or lower"
                f" {'train.gpu' if stage.name == 'checkpoint' else 'gpus in plan.rates'}"
            )
    rounded = [
        {**asdict(stage), "hours": _round(stage.hours), "gpu_hours": _round(stage.gpu_hours)}
        for stage in stages
    ]
    return {
        "questions": {**counts, "rolled_out": count_rolled_out(config, counts)},
        "rollouts": config["trajectories"]["rollouts"],
        "turns": config["plan"]["turns"],
        "tokens": dict(config["plan"]["tokens"]),
        "gpus": gpus,
        "budget_hours": config["task"]["budget_hours"],
        "stages": rounded,
        "hours": _round(sum_hours(stages)),
        "gpu_hours": _round(_add([stage.gpu_hours for stage in stages])),
        "without_rates": {stage.name: stage.missing for stage in stages if stage.missing},
        "left_out": _list_left_out(config),
    }


def sum_hours(stages: Sequence[Stage]) -> float | None:
    """Wall clock of stages one after the other, but for one that runs beside another of them."""
    hours = {stage.name: stage.hours for stage in stages}
    for stage in stages:
        if stage.beside in hours:
            pair = (hours.pop(stage.name), hours[stage.beside])
            hours[stage.beside] = None if None in pair else max(pair)
    return _add(list(hours.values()))


def sum_known(plan: Mapping[str, Any]) -> float:
    """Hours of the stages that have rates."""
    known = [
        Stage(**{key: value for key, value in stage.items() if key != "gpu_hours"})
        for stage in plan["stages"]
        if stage["hours"] is not None
    ]
    return sum_hours(known) or 0.0


def format_plan(plan: Mapping[str, Any]) -> str:
    """The plan as text: what it rests on, a row per stage, the sum, and what is left out."""
    asked = plan["questions"]
    rows = [
        {
            "stage": stage["name"],
            "items": stage["items"],
            "requests": stage["requests"],
            "prompt Mtok": stage["prompt_tokens"] / 1e6,
            "cached": stage["cached_share"],
            "output Mtok": stage["output_tokens"] / 1e6,
            "GPUs": stage["gpus"],
            "hours": stage["hours"],
            "GPU hours": stage["gpu_hours"],
            "note": _note(stage),
        }
        for stage in plan["stages"]
    ]
    total = {"stage": "sum", "hours": plan["hours"], "GPU hours": plan["gpu_hours"], "note": ""}
    lines = [
        f"{asked['rolled_out']} of {asked['train']} training questions, {plan['rollouts']} rollouts"
        f" each of {plan['turns']:g} turns; {asked['dev']} dev and {asked['test']} test questions;"
        f" {plan['gpus']} GPUs",
        "",
        format_table([*rows, total]),
        "",
    ]
    if plan["budget_hours"] is not None:
        if plan["hours"] is None:
            lines.append(
                f"Budget {plan['budget_hours']:g} h: can not be checked without these rates."
            )
        else:
            verdict = "inside" if plan["hours"] <= plan["budget_hours"] else "OVER"
            lines.append(
                f"{plan['hours']:.2f} h: {verdict} the budget of {plan['budget_hours']:g} h."
            )
    lines.append(f"Left out: {'; '.join(plan['left_out'])}.")
    return "\n".join(lines)


def read_spent(folder: Path) -> dict[str, float]:
    """Hours of each rule's last run, from Snakemake's benchmark files `<rule>.tsv` in a folder."""
    spent = {}
    for file in sorted(folder.glob("*.tsv")):
        header, *rows = [line.split("\t") for line in file.read_text().splitlines()]
        try:
            spent[file.stem] = sum(float(row[header.index("s")]) for row in rows) / 3600
        except (ValueError, IndexError):
            raise InputError(f"{file}: no benchmark file of Snakemake's; delete it") from None
    return spent


def compare_hours(plan: Mapping[str, Any], spent: Mapping[str, float]) -> list[dict[str, Any]]:
    """Planned and spent hours per stage; the rules that no stage plans stand as `others`."""
    rows, left = [], dict(spent)
    for stage in plan["stages"]:
        rules = STAGE_RULES.get(stage["name"], (stage["name"],))
        hours = [left.pop(rule) for rule in rules if rule in left]
        rows.append(
            {
                "stage": stage["name"],
                "planned_hours": stage["hours"],
                "spent_hours": _round(sum(hours)) if hours else None,
            }
        )
    others = {"stage": "others", "planned_hours": None, "spent_hours": _round(sum(left.values()))}
    return [*rows, others]


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
    tokens, asked = config["plan"]["tokens"], counts["train"]
    work = (
        asked,
        asked * (tokens["tag_system"] + tokens["question"]),
        asked * tokens["question"],
        asked * tokens["tag_answer"],
    )
    return _time_requests(config, "tag", "teacher", asked, work, searches=0)


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
    known = config["data"]["test_answers"] is not None

    def answer(name: str, searching: int, closed: int) -> Stage:
        open_book = _count_rollouts(searching, plan["turns"], tokens["student_system"], tokens)
        # Closed-book a rollout asks twice: the turn that would search is thrown away.
        alone = _count_rollouts(2 * closed, 1, tokens["student_system"], tokens)
        work = tuple(a + b for a, b in zip(open_book, alone, strict=True))
        searches = searching * (plan["turns"] - 1)
        return _time_requests(config, name, "student", searching + closed, work, searches)

    stages = [answer("predict", counts["dev"] + counts["test"], counts["test"] * known)]
    if known and config["predict"]["untrained"] and not config["models"]["student"]["endpoint"]:
        stages.append(answer("predict_untrained", counts["test"], 0))
    return stages


def _count_rollouts(
    number: int, turns: float, system: float, tokens: Mapping[str, float]
) -> tuple[float, float, float, float]:
    """Requests, prompt tokens, prompt tokens that no prefix cache has, output tokens."""
    question, turn, observation = (tokens[key] for key in ("question", "turn", "observation"))
    grown = (turn + observation) * turns * (turns - 1) / 2
    return (
        number * turns,
        number * (turns * (system + question) + grown),
        number * (question + (turns - 1) * observation),
        number * turns * turn,
    )


def _time_requests(
    config: Mapping[str, Any],
    name: str,
    role: str,
    items: int,
    work: tuple[float, float, float, float],
    searches: float,
    shards: int = 1,
) -> Stage:
    """A stage that asks a model, as long as what takes longest: reading what no prefix cache has,
    writing (the two go on together, and their rates are measured so), or searching.

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


def count_rolled_out(config: Mapping[str, Any], counts: Mapping[str, int]) -> int:
    total = config["sample"]["total"]
    return counts["train"] if total is None else min(total, counts["train"])


def _count_kept(config: Mapping[str, Any], questions: int) -> int:
    """Records to train on, if each rollout is good enough with the same chance, independently."""
    share, rollouts = config["plan"]["kept_share"], config["trajectories"]["rollouts"]
    most = config["curate"]["per_question"]
    each = sum(
        min(good, most) * comb(rollouts, good) * share**good * (1 - share) ** (rollouts - good)
        for good in range(rollouts + 1)
    )
    kept = round(questions * each)
    limit = config["curate"]["max_kept"]
    return kept if limit is None else min(kept, limit)


def _list_left_out(config: Mapping[str, Any]) -> list[str]:
    stages = ["stages without a model (seeds, sample, curate, sft_dataset, metrics)"]
    for section in ("refine", "judge", "shortcuts", "trees"):
        if config[section]["enabled"]:
            stages.append(f"the models of {section}")
    if config["rounds"]["count"] > 1:
        stages.append("later SFT rounds")
    if config["data"]["benchmarks"]:
        stages.append("benchmarks")
    return [*stages, "GRPO", "answers that are in the request cache already"]


def _note(stage: Mapping[str, Any]) -> str:
    notes = [f"beside {stage['beside']}"] if stage["beside"] else []
    return "; ".join(notes + [f"no rates: {stage['missing']}"] * bool(stage["missing"]))


def _add(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
