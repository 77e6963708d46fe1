"""What a stage may take when it begins: the rest of the run planned anew by the hours gone by.

A kind of stage that was slower than planned is planned slower from then on, and so is what has not
run yet: as much of `CREDIT` hours count as planned, so that a short stage says little. Of the time
left the share `plan.reserve` stays free; the reserve so shrinks with what may go wrong. What does
not fit is left out in the order of `task.cuts`. Invariant: what is left out is said in the
allowance, which is written before the stage begins.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from searchtrain.config import Config
from searchtrain.task.cuts import Cut, drop_candidates, list_cuts
from searchtrain.task.plan import find_stage, make_plan, sum_known
from searchtrain.task.stages import TRIALS, UNTRAINED

CREDIT = 0.5
"""Hours as planned that every kind of stage begins with."""
END = 0.25
"""Hours that always stay free: for what no stage plans, as scores and test.json."""
ROLLING = "trajectories"
"""The stage that has a deadline."""


NOTHING = {"hours": 0.0, "items": 0}
"""Of a stage that is left out."""


@dataclass(frozen=True, slots=True)
class Spent:
    """A stage that has ended."""

    kind: str
    planned: float
    """Hours planned, by the rates of the plan, of what it did."""
    hours: float
    """What it took."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a stage may take."""

    stage: str
    hours_gone: float
    hours_left: float
    """Until the budget ends."""
    hours_planned: float
    """Of the stage and all that comes behind it, as it is left, by what was measured."""
    kind: str
    stage_hours: float
    """Of the stage alone as it is left, by the rates of the plan."""
    stage_items: int
    """What it then works on: rollouts, records, questions."""
    servers: int
    """Its servers side by side."""
    slowness: dict[str, float]
    """Hours that kinds of stages take for each one planned."""
    deadline: float | None
    """Seconds since the epoch, after which no rollout of the waves behind the first begins."""
    most_epochs: int | None
    left_out: tuple[str, ...]
    """Candidates that are not trained, those that are there already not among them."""
    said: tuple[str, ...]
    """What the stage and the rest are without, a line for each."""

    def show(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def make_allowance(
    config: Config, counts: Mapping[str, int], stage: str, started: float, now: float,
    spent: Mapping[str, Spent], dropped: Collection[str] = (),
) -> Allowance:  # fmt: skip
    """What `stage` may take that begins `now`; `started` and `now` in seconds since the epoch.

    `counts`: questions of train, dev and test; `spent`: stages that have ended, by name; `dropped`:
    candidates whose training was left out.
    """
    budget = config.task.budget_hours
    assert budget is not None
    gone = (now - started) / 3600
    left, free = budget - gone, 1 - config.plan.reserve
    room = min(left * free, left - END)
    slowness = measure_slowness(spent)

    def plan_rest(config: Config) -> tuple[list[dict[str, Any]], float]:
        rest = _list_rest(make_plan(config, counts), stage, spent)
        return rest, sum_known([_slow_down(each, slowness) for each in rest])

    as_planned, _ = plan_rest(config)
    config = drop_candidates(config, dropped)
    whole, planned = plan_rest(config)
    chosen, said = Cut("", config), []
    for cut in list_cuts(config):
        if planned <= room:
            break
        _, less = plan_rest(cut.config)
        if less < planned:
            said.append(f"{cut.what}: left out, {planned - less:.2f} h that there is no time for")
        chosen, planned = cut, less
    if planned > room:
        said.append(
            f"{planned:.2f} h are planned of what cannot be left out, and {left:.2f} h are left of"
            f" the budget (a reserve of {config.plan.reserve:.0%} of them is kept)"
        )
    rest, _ = plan_rest(chosen.config)
    deadline = None
    if stage == ROLLING:
        needed = [cut.config for cut in list_cuts(config) if cut.trials and not cut.epochs]
        after, _ = plan_rest(needed[-1] if needed else config)
        behind = sum_known([_slow_down(each, slowness) for each in after if each["name"] != stage])
        deadline = started + 3600 * max(0.0, budget - max(behind / free, behind + END))
    nothing = {**next(each for each in as_planned if each["name"] == stage), **NOTHING}
    own = next((each for each in rest if each["name"] == stage), nothing)
    names = {each["name"] for each in whole}
    return Allowance(
        stage=stage,
        hours_gone=round(gone, 4),
        hours_left=round(left, 4),
        hours_planned=round(planned, 4),
        kind=own["kind"],
        stage_hours=own["hours"] or 0.0,
        stage_items=own["items"],
        servers=own["servers"],
        slowness={kind: round(slow, 4) for kind, slow in slowness.items()},
        deadline=deadline,
        most_epochs=chosen.epochs,
        left_out=(
            *dropped,
            *(each for each in chosen.trials if f"{TRIALS}{each}/checkpoint" in names),
        ),
        said=tuple(said),
    )


def measure_slowness(spent: Mapping[str, Spent]) -> dict[str, float]:
    """Hours taken for one planned, by kind, at least 1; key "" for a kind of which nothing has
    ended, with the excess of the others twice. What was faster than planned promises nothing: it
    may have been in the request cache."""
    overall = _compare(list(spent.values()), 1.0)
    overall += overall - 1  # what began on the way is slower now than on average
    kinds = sorted({each.kind for each in spent.values()})
    own = {k: _compare([each for each in spent.values() if each.kind == k], overall) for k in kinds}
    return {"": overall, **own}


def _compare(stages: Sequence[Spent], usual: float) -> float:
    taken = sum(each.hours for each in stages) + CREDIT * usual
    return max(1.0, taken / (sum(each.planned for each in stages) + CREDIT))


def _slow_down(stage: Mapping[str, Any], slowness: Mapping[str, float]) -> dict[str, Any]:
    slow = slowness.get(stage["kind"], slowness[""])
    return {**stage, "hours": None if stage["hours"] is None else stage["hours"] * slow}


def _list_rest(
    plan: Mapping[str, Any], stage: str, spent: Mapping[str, Spent]
) -> list[dict[str, Any]]:
    """The stage, all that comes behind it, and candidates that have not been tried yet. Those run
    in any order, and the untrained student at any time."""
    rows = plan["stages"]
    place = find_stage(plan, stage)
    if place is None or stage.startswith(TRIALS):  # a cut may leave out the very stage
        trials = (find_stage(plan, row["name"]) for row in rows if row["name"].startswith(TRIALS))
        place = next(trials, len(rows))
    anywhen = (TRIALS, UNTRAINED)
    return [
        row
        for row in rows[place:]
        if row["name"] == stage or not (row["name"].startswith(anywhen) and row["name"] in spent)
    ]
