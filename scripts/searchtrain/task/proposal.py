"""Settings that fill the task's hours, as a config file to lay on top; the plan then confirms it.

From the least on (`ladder`) every rung is taken that still fits into the budget less its reserve.
Invariant: what is proposed fits, and laying it on top proposes the same again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from searchtrain.config import Config, read_config
from searchtrain.config.section import merge_values
from searchtrain.core.text_table import format_table
from searchtrain.task.ladder import find_floor, list_rungs
from searchtrain.task.plan import make_plan


@dataclass(frozen=True, slots=True)
class Proposal:
    """What would fill the hours."""

    changes: dict[str, Any]
    """Settings, to lay over the config."""
    steps: tuple[dict[str, Any], ...]
    """The rungs taken: `what`, `value`, `hours` that it adds, `sum`, `unsolved` share, `kept`."""
    hours: float
    budget: float
    reserve: float
    """Hours."""


def propose(config: Config, counts: Mapping[str, int]) -> Proposal | str:
    """The proposal for a config, or why there is none.

    `counts`: questions of train, dev and test.
    """
    budget = config.task.budget_hours
    if budget is None:
        return "task.budget_hours: null: there are no hours to fill"
    missing = make_plan(config, counts)["without_rates"]
    if missing:
        return f"not known: {', '.join(missing.values())}"
    most = budget * (1 - config.plan.reserve)
    base = config.changes()
    changes = find_floor(config)
    plan = make_plan(read_config(merge_values(base, changes)), counts)
    if plan["hours"] > most:
        return (
            f"one rollout of each of {counts['train']} questions and one epoch take"
            f" {plan['hours']:.2f} h of {budget:g}, of which {budget - most:.2f} are reserve: lower"
            " sample.total"
        )
    steps, full = [_describe("the least", plan, 0.0)], set()
    for rung in list_rungs(config):
        if rung.key in full:
            continue
        tried = merge_values(changes, rung.changes)
        larger = make_plan(read_config(merge_values(base, tried)), counts)
        if larger["hours"] > most:
            full.add(rung.key)
            continue
        what = f"{rung.key}: {_find_value(rung.changes)}" if _is_number(rung.changes) else rung.key
        steps.append(_describe(f"{what} ({rung.why})", larger, plan["hours"]))
        changes, plan = tried, larger
    return Proposal(changes, tuple(steps), plan["hours"], budget, budget - most)


def apply_proposal(config: Config, proposal: Proposal) -> Config:
    """The config with the proposal on top."""
    return read_config(merge_values(config.changes(), proposal.changes))


def format_proposal(proposal: Proposal | str) -> str:
    """The steps as text."""
    if isinstance(proposal, str):
        return f"No proposal: {proposal}."
    free = proposal.budget - proposal.hours
    return "\n".join(
        [
            f"Proposed for {proposal.budget:g} h: {proposal.hours:.2f} h of work, {free:.2f} h free"
            f" (reserve {proposal.reserve:.2f} h); the steps in their order:",
            "",
            format_table(list(proposal.steps)),
        ]
    )


def render_proposal(proposal: Proposal | str) -> str:
    """The config file; without a proposal one that changes nothing and says why."""
    said = format_proposal(proposal)
    head = "".join(f"# {line}".rstrip() + "\n" for line in said.splitlines())
    if isinstance(proposal, str):
        return head + "{}\n"
    use = "# Copy it, change what you like, and lay it on top: --configfile ... proposal.yaml\n"
    return use + head + yaml.safe_dump(proposal.changes, sort_keys=False)


def _describe(what: str, plan: Mapping[str, Any], before: float) -> dict[str, Any]:
    parts = next(each["parts"] for each in plan["stages"] if each["name"] == "trajectories")
    records = next(each["items"] for each in plan["stages"] if each["kind"] == "training")
    left: Sequence[float] = [part["unsolved"] for part in parts.values() if part["rollouts"]]
    return {
        "step": what,
        "adds h": round(plan["hours"] - before, 2),
        "hours": round(plan["hours"], 2),
        "unsolved": left[-1],
        "records": records,
    }


def _is_number(changes: Any) -> bool:
    return not isinstance(_find_value(changes), dict)


def _find_value(changes: Any) -> Any:
    """What a rung sets, where it is one value."""
    while isinstance(changes, dict) and len(changes) == 1:
        changes = next(iter(changes.values()))
    return changes
