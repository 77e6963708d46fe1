"""What a run will take, from the config alone: its stages, their sum, and what is left out.

Invariant: a total that a stage without rates belongs to has no hours either.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from searchtrain.config import Config
from searchtrain.core.errors import InputError
from searchtrain.core.text_table import format_table
from searchtrain.data.file_rows import read_values
from searchtrain.task.amounts import count_rolled_out
from searchtrain.task.cuts import list_cuts
from searchtrain.task.stages import plan_stages

LATER = ("more", "hinted")
"""Waves of rollouts that only unsolved questions have."""


def count_questions(config: Config, results: str | Path) -> dict[str, int]:
    """Questions of train, dev and test: as `plan.questions` says, else counted in the files.

    Files of the laptop world that are not built yet count as `world.sizes` has them; `results`
    stands for `<results>` in their paths. Raises InputError when a file is not there.
    """
    counts = {}
    for split, given in config.plan.questions:
        name = getattr(config.data, split)
        file = Path(name.replace("<results>", str(results), 1))
        if given is not None:
            counts[split] = given
        elif name.startswith("<results>/world/") and not file.exists():
            counts[split] = getattr(config.world.sizes, split)
        else:
            counts[split] = len(read_values(file))
    return counts


def make_plan(config: Config, counts: Mapping[str, int]) -> dict[str, Any]:
    """`plan.json`: the stages, their sum, what it rests on and what it leaves out.

    `counts`: as from `count_questions`. Raises InputError when a stage would need more GPUs than
    `plan.gpus`.
    """
    stages = plan_stages(config, counts)
    plan = config.plan
    for stage in stages:
        if stage.gpus > plan.gpus:
            raise InputError(
                f"plan.gpus: {plan.gpus}: {stage.name} needs {stage.gpus}; raise plan.gpus, or"
                f" lower {'train.gpu' if stage.kind == 'training' else 'gpus in plan.rates'}"
            )
    rows = [{**asdict(stage), "gpu_hours": stage.gpu_hours} for stage in stages]
    return {
        "questions": {**counts, "rolled_out": count_rolled_out(config, counts)},
        "rollouts": config.trajectories.rollouts,
        "turns": plan.turns,
        "tokens": plan.tokens.model_dump(),
        "gpus": plan.gpus,
        "budget_hours": config.task.budget_hours,
        "stages": [
            {**row, "hours": _round(row["hours"]), "gpu_hours": _round(row["gpu_hours"])}
            for row in rows
        ],
        "hours": _round(sum_hours(rows)),
        "gpu_hours": _round(_combine(sum, [stage.gpu_hours for stage in stages])),
        "without_rates": {stage.name: stage.missing for stage in stages if stage.missing},
        "without_prices": list_unpriced(config),
        "left_out": _list_left_out(config),
        "cuts": [cut.what for cut in list_cuts(config)] if shrinks(config) else [],
    }


def shrinks(config: Config) -> bool:
    """Whether a run that is late leaves optional parts out."""
    return config.task.budget_hours is not None and config.task.over_budget == "shrink"


def sum_hours(stages: Sequence[Mapping[str, Any]]) -> float | None:
    """Wall clock of stages (`stages` of a plan) one after the other, but for one that runs beside
    another of them."""
    hours: dict[str, float | None] = {stage["name"]: stage["hours"] for stage in stages}
    for stage in stages:
        if (beside := stage["beside"]) in hours:
            hours[beside] = _combine(max, [hours.pop(stage["name"]), hours[beside]])
    return _combine(sum, hours.values())


def sum_known(stages: Sequence[Mapping[str, Any]]) -> float:
    """Hours of those stages that have rates."""
    return sum_hours([each for each in stages if each["hours"] is not None]) or 0.0


def find_stage(plan: Mapping[str, Any], name: str) -> int | None:
    """The place of a stage in the order of the run; None if it is not planned."""
    names = [stage["name"] for stage in plan["stages"]]
    return names.index(name) if name in names else None


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
        *_describe_waves(plan),
    ]
    hours, budget = plan["hours"], plan["budget_hours"]
    if budget is not None and hours is None:
        lines.append(f"Budget {budget:g} h: cannot be checked without these rates.")
    elif budget is not None:
        verdict = "inside" if hours <= budget else "OVER"
        lines.append(f"{hours:.2f} h: {verdict} the budget of {budget:g} h.")
    if plan["without_prices"]:
        lines.append(
            f"Prices: not set ({', '.join(plan['without_prices'])}), so the dollars of these count"
            " as 0 in every report."
        )
    lines.append(f"Left out: {'; '.join(plan['left_out'])}.")
    if plan["cuts"]:
        lines.append(f"If time runs out, this goes first to last: {'; '.join(plan['cuts'])}.")
    return "\n".join(lines)


def _describe_waves(plan: Mapping[str, Any]) -> Iterator[str]:
    """The waves of rollouts, where there is more than one."""
    parts = next(stage["parts"] for stage in plan["stages"] if stage["name"] == "trajectories")
    for name, part in parts.items():
        if part["rollouts"] and len(parts) > 1 and any(parts[x]["rollouts"] for x in LATER):
            hours = f", {part['hours']:.2f} h" if "hours" in part else ""
            yield (
                f"Wave {name}: {part['rollouts']} rollouts{hours}, which leave"
                f" {part['unsolved']:.0%} of the questions unsolved."
            )


def list_unpriced(config: Config) -> list[str]:
    """The settings of prices that are not set, of what the run asks at endpoints."""
    judged = config.judge.enabled or config.shortcuts.enabled or config.curate.answers.judge
    roles = ["teacher", *["refiner"] * config.refine.enabled, *["judge"] * judged]
    if config.trees.enabled:
        roles += ["planner", "browser", "writer", "solver", "verifier"]
    prices = {
        f"models.{name}.price": (role.price.prompt or role.price.completion)
        for name in dict.fromkeys(map(config.models.owner, roles))
        if (role := config.models.resolve(name)).endpoint
    }
    if config.search == "web" and config.web.endpoint:
        prices["web.price"] = config.web.price
    return [key for key, price in prices.items() if not price]


def _list_left_out(config: Config) -> list[str]:
    stages = ["stages without a model (seeds, sample, curate, sft_dataset, metrics)"]
    for section in ("refine", "judge", "shortcuts", "trees"):
        stages += [f"the models of {section}"] * getattr(config, section).enabled
    stages += ["the judge of answers in curation"] * config.curate.answers.judge
    stages += ["later SFT rounds"] * (config.rounds.count > 1)
    stages += ["benchmarks"] * bool(config.data.benchmarks)
    return [*stages, "GRPO", "answers that are in the request cache already"]


def _note(stage: Mapping[str, Any]) -> str:
    notes = [f"beside {stage['beside']}"] if stage["beside"] else []
    return "; ".join(notes + [f"no rates: {stage['missing']}"] * bool(stage["missing"]))


def _combine(
    combine: Callable[[Sequence[float]], float], values: Collection[float | None]
) -> float | None:
    """One number of all values; None if one of them is."""
    numbers = [value for value in values if value is not None]
    return combine(numbers) if len(numbers) == len(values) else None


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
