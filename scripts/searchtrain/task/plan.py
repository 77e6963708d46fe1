"""What a run will take, from the config alone: its stages, their sum, and what is left out.

Invariant: a total that a stage without rates belongs to has no hours either.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from searchtrain.core.errors import InputError
from searchtrain.core.files import read_json
from searchtrain.core.text_table import format_table
from searchtrain.task.stages import Stage, count_rolled_out, plan_stages

SECTIONS = (
    "task", "plan", "data", "world", "sample", "trajectories", "curate", "train", "predict",
    "models", "refine", "judge", "shortcuts", "trees", "rounds",
)  # fmt: skip
"""The config's sections that a plan depends on."""
STAGES = ("index", "tag", "trajectories", "checkpoint", "predict", "predict_untrained")
"""What is planned, in the order of the run; a stage is named like its rule."""


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
    stages = plan_stages(config, counts)
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
            pair = _list_numbers([hours.pop(stage.name), hours[stage.beside]])
            hours[stage.beside] = max(pair) if pair else None
    return _add(list(hours.values()))


def sum_known(plan: Mapping[str, Any]) -> float:
    """Hours of the stages that have rates."""
    timed = [
        Stage(**{key: value for key, value in stage.items() if key != "gpu_hours"})
        for stage in plan["stages"]
        if stage["hours"] is not None
    ]
    return sum_hours(timed) or 0.0


def format_plan(plan: Mapping[str, Any]) -> str:
    """The plan as text: what it rests on, a row per stage, the sum, and what is left out."""
    counts = plan["questions"]
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
        f"{counts['rolled_out']} of {counts['train']} training questions,"
        f" {plan['rollouts']} rollouts each of {plan['turns']:g} turns; {counts['dev']} dev and"
        f" {counts['test']} test questions; {plan['gpus']} GPUs",
        "",
        format_table([*rows, total]),
        "",
    ]
    if plan["budget_hours"] is not None:
        if plan["hours"] is None:
            lines.append(
                f"Budget {plan['budget_hours']:g} h: cannot be checked without these rates."
            )
        else:
            verdict = "inside" if plan["hours"] <= plan["budget_hours"] else "OVER"
            lines.append(
                f"{plan['hours']:.2f} h: {verdict} the budget of {plan['budget_hours']:g} h."
            )
    lines.append(f"Left out: {'; '.join(plan['left_out'])}.")
    return "\n".join(lines)


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
    numbers = _list_numbers(values)
    return None if numbers is None else sum(numbers)


def _list_numbers(values: Sequence[float | None]) -> list[float] | None:
    """The values, unless one of them is None."""
    numbers = [value for value in values if value is not None]
    return numbers if len(numbers) == len(values) else None


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
