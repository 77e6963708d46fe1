"""The task's budget of hours: whether a plan fits, and whether what is left of it still does.

The clock starts with the first run and lies beside the request cache, so that it survives restarts,
clean rebuilds, and is one for all submissions. Invariant: it is never set back but by deleting it.
"""

import time
from bisect import bisect_right
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from searchtrain.config import Config
from searchtrain.config.command import change_setting
from searchtrain.core.errors import InputError
from searchtrain.core.files import read_json, write_json
from searchtrain.task.amounts import count_rolled_out
from searchtrain.task.plan import find_stage, make_plan, sum_known

CLOCK = "task_clock.json"
"""Its name in the folder of the request cache."""


def check_budget(plan: Mapping[str, Any], config: Config) -> None:
    """Raise InputError when the planned hours exceed `task.budget_hours`.

    The message has the value to which `sample.total` or `trajectories.rollouts` alone would have to
    fall. Stages without rates count as nothing.
    """
    budget, needed = plan["budget_hours"], sum_known(plan["stages"])
    if budget is None or needed <= budget:
        return
    fits = find_fit(config, plan["questions"])
    remedy = "fewer questions or rollouts alone would not fit; look at the other stages"
    if fits:
        remedy = f"{' or '.join(f'{key}: {value}' for key, value in fits.items())} would fit"
    largest = max(plan["stages"], key=lambda stage: stage["hours"] or 0)
    raise InputError(
        f"task.budget_hours: {budget:g}: the plan needs {needed:.2f} h on {plan['gpus']} GPUs, most"
        f" of it in {largest['name']} ({largest['hours']:.2f} h); {remedy}"
    )


def find_fit(config: Config, counts: Mapping[str, int]) -> dict[str, int]:
    """The largest value of each knob that keeps the plan inside the budget; none if none does.

    Knobs: `sample.total` and `trajectories.rollouts`, each alone, below what they are now.
    """
    budget = config.task.budget_hours
    assert budget is not None
    knobs = {
        "sample.total": count_rolled_out(config, counts),
        "trajectories.rollouts": config.trajectories.rollouts,
    }

    def measure(value: int, knob: str) -> float:
        return sum_known(make_plan(change_setting(config, knob, value), counts)["stages"])

    # The values are 1, 2, ...: the largest that fits is how many fit.
    found = {
        knob: bisect_right(range(1, present), budget, key=partial(measure, knob=knob))
        for knob, present in knobs.items()
    }
    return {knob: value for knob, value in found.items() if value}


def start_clock(cache: str | Path) -> float:
    """When the first run began (seconds since the epoch); now, if this is the first."""
    file = Path(cache) / CLOCK
    if not file.exists():
        write_json({"started": time.time()}, file)
    return float(read_json(file)["started"])


def check_rest(stage: str, rest: float, gone: float, budget: float, over_budget: str) -> str | None:
    """Whether the hours gone by and those planned from `stage` on exceed the budget.

    `rest`: as from `sum_rest`; `gone`: hours since the clock started; `over_budget`: `warn` or
    `error`. Returns what there is to say, None when all fits; raises InputError instead with
    `error`.
    """
    if gone + rest <= budget:
        return None
    said = (
        f"task.budget_hours: {budget:g}: {gone:.2f} h have gone by since the first run, and from"
        f" {stage} on the plan has {rest:.2f} h more (a new task: delete {CLOCK} in the folder of"
        " the request cache)"
    )
    if over_budget == "error":
        raise InputError(
            f"{said}; lower sample.total or trajectories.rollouts, or go on with"
            " task.over_budget: warn"
        )
    return said


def sum_rest(plan: Mapping[str, Any], first: str) -> float:
    """Planned hours from a stage on, as far as there are rates."""
    return sum_known(plan["stages"][find_stage(plan, first) :])
