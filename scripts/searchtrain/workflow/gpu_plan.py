"""Who holds which GPUs when: the stages of a run in their order, and whether what they load fits.

A stage's servers start with it and end with it (rule `serve`), and whatever holds a GPU claims it
from Snakemake, so a stage begins once the GPUs that it asks for are free. Invariant: names and
numbers come from the tables and functions that the rules themselves use (`stages`, `servers`,
`students`), so the order is that of the run.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from searchtrain.config import Config
from searchtrain.config.models import STUDENT
from searchtrain.config.trials import AVERAGE
from searchtrain.core.text_table import format_table
from searchtrain.workflow import servers, students
from searchtrain.workflow.gpu_memory import Load, count_used, measure_server, measure_training
from searchtrain.workflow.stages import list_servers, list_stages

IN_ROUNDS = ("trajectories", "shortcuts", "equivalents", "checkpoint")
"""Stages that every SFT round has, in their order; what stands before them in the table of stages
is done once."""
SCORED = ("predict", "judge")
"""Stages that every student has."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A server or a trainer that holds GPUs, or an endpoint, which holds none."""

    name: str
    """The server's, or `training`, `encoder`, `grpo`."""
    model: str
    key: str
    """The setting that says how many."""
    gpus: int
    used: int
    """Of them, those that its arguments have it use."""
    load: Load | None = None
    """What it puts on each of its GPUs; None: not known."""


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of one round or student."""

    stage: str
    place: str
    """Of the round's data or the student, as in `students`; empty: the only or the first one."""
    holders: tuple[Holder, ...]
    jobs: int = 1
    """Of which each holds so much: the shards of a stage."""

    @property
    def gpus(self) -> int:
        """What one job of it holds."""
        return sum(holder.gpus for holder in self.holders)


def list_steps(config: Config) -> list[Step]:
    """Every stage that asks a model or holds GPUs, in the order of the run; GRPO's come last, and
    are done on demand only."""
    steps = []
    for stage, place in _list_jobs(config):
        holders = [*_list_servers(config, stage, place), *_list_own(config, stage)]
        if holders:
            jobs = config.trajectories.shards if stage == "trajectories" else 1
            steps.append(Step(stage, place, tuple(holders), jobs))
    return steps


def _list_jobs(config: Config) -> Iterator[tuple[str, str]]:
    """Stage and place of every job of a run up to test.json; GRPO, on demand, comes last."""
    names = list_stages(config)
    yield from ((name, "") for name in names[: names.index(IN_ROUNDS[0])])
    for number in range(1, config.rounds.count + 1):
        places = {"checkpoint": students.student_after(config, number).place}
        for name in IN_ROUNDS:
            if name == "checkpoint" and config.trials.candidates:
                for each in students.list_candidates(config):
                    if each != AVERAGE:
                        yield name, f"trials/{each}/"
                    yield SCORED[0], f"trials/{each}/"
            elif name in names:
                yield name, places.get(name, students.place_of(number))
    untrained = ["untrained/"] * students.scores_untrained(config)
    yield from ((SCORED[0], place) for place in (*untrained, ""))
    yield from ((name, "") for name in SCORED[1:] if name in names)
    yield "grpo", ""
    yield from ((name, "grpo/") for name in SCORED if name in names)


def _list_servers(config: Config, stage: str, place: str) -> Iterator[Holder]:
    """The servers that a job asks, each once, however many roles it plays."""
    found: dict[str, list[str]] = {}
    for role in list_servers(config, stage):
        name = _name_server(config, stage, role, place)
        said = {"search": "retriever"}.get(role, name if name == STUDENT else role)
        found.setdefault(name, []).append(said)
    for name, roles in found.items():
        server = servers.find_server(config, name)
        said = " + ".join(roles)
        section, key = server.section, f"{server.key}.gpu"
        gpus = 0 if section.endpoint else servers.count_gpus(config, name)
        if name in servers.SEARCHED:
            if gpus:
                yield Holder(said, "index", key, gpus, gpus)
        elif not gpus:
            yield Holder(said, section.endpoint or section.model, key, 0, 0)
        else:
            model = config.train.base if name == STUDENT else section.model
            scripted = getattr(section, "serve", "vllm") == "scripted"
            used = gpus if scripted else count_used(section)
            yield Holder(said, model, key, gpus, used, measure_server(config, section, model))


def _name_server(config: Config, stage: str, role: str, place: str) -> str:
    """As `Project` chooses it: a later round's rollouts are those of the student before."""
    if role == STUDENT or (stage == "trajectories" and role == "teacher" and place):
        return STUDENT
    return servers.find_server(config, role).name


def _list_own(config: Config, stage: str) -> Iterator[Holder]:
    """What the job of a stage holds itself."""
    if not (gpus := servers.count_own_gpus(config, stage)):
        return
    key = servers.OWN_GPUS[stage]
    if stage == "index":
        yield Holder("encoder", str(config.retriever.embedder.model), key, gpus, gpus)
    elif stage == "checkpoint":
        used, load = config.train.processes, measure_training(config)
        yield Holder("training", config.train.base, key, gpus, used, load)
    else:
        yield Holder(stage, config.train.base, key, gpus, gpus)


def find_faults(config: Config, steps: Sequence[Step]) -> list[str]:
    """What will not do: more GPUs than `plan.gpus`, and what `find_misfits` finds."""
    most = config.plan.gpus
    faults: dict[str, None] = {}
    for step in steps:
        if step.gpus > most:
            parts = " + ".join(f"{each.name} {each.gpus}" for each in step.holders if each.gpus)
            faults[
                f"{step.stage} needs {step.gpus} GPUs at a time ({parts}), and plan.gpus is {most}:"
                " lower gpu and tensor-parallel-size of one of them, or let one model play both"
                " roles (same_as)"
            ] = None
    return [*faults, *find_misfits(config, steps)]


def find_misfits(config: Config, steps: Sequence[Step]) -> list[str]:
    """Who uses other GPUs than it holds, or loads more than a card has (`plan.gpu_memory`)."""
    card = config.plan.gpu_memory
    misfits: dict[str, None] = {}
    for holder in (holder for step in steps for holder in step.holders):
        who = f"{holder.name} ({holder.model})"
        if holder.used != holder.gpus:
            key = "train.processes" if holder.name == "training" else "tensor-parallel-size"
            misfits[
                f"{who} holds {holder.gpus} GPUs and uses {holder.used}: make gpu and {key} agree"
            ] = None
        if card and holder.load and (fault := holder.load.find_fault(card)):
            misfits[f"{who}: {fault}"] = None
    return list(misfits)


def describe(config: Config) -> dict[str, Any]:
    """`gpus` of plan.json: the steps, and what will not do."""
    steps = list_steps(config)
    return {
        "gpus": config.plan.gpus,
        "memory": config.plan.gpu_memory,
        "steps": [_describe_step(step, config.plan.gpus) for step in steps],
        "faults": find_faults(config, steps),
    }


def _describe_step(step: Step, most: int) -> dict[str, Any]:
    beside = max(1, min(step.jobs, most // step.gpus if step.gpus else step.jobs))
    return {
        "stage": step.stage,
        "place": step.place,
        "holders": [
            {
                "name": holder.name,
                "model": holder.model,
                "gpus": holder.gpus,
                "gib": {name: round(size, 1) for name, size in holder.load.parts.items()}
                if holder.load
                else None,
            }
            for holder in step.holders
        ],
        "jobs": step.jobs,
        "beside": beside,
        "gpus": step.gpus * beside,
    }


def format_order(described: Mapping[str, Any]) -> str:
    """The order as text: who takes GPUs, and what is freed before the next begins."""
    rows, freed = [], "-"
    for number, step in enumerate(described["steps"], 1):
        jobs, stage = step["jobs"], f"{step['place']}{step['stage']}"
        rows.append(
            {
                "": number,
                "freed before": freed,
                "stage": stage,
                "jobs": "1" if jobs == 1 else f"{jobs}, {step['beside']} at a time",
                "GPUs": step["gpus"],
                "held by": "; ".join(map(_format_holder, step["holders"])),
            }
        )
        freed = f"{step['gpus']} of {stage}" if step["gpus"] else "-"
    lines = [
        f"GPUs in the order in which they are taken, of {described['gpus']}. A stage's servers"
        " start and end with it; it begins once what it asks for is free.",
        "",
        format_table(rows),
    ]
    lines += [""] * bool(described["faults"])
    return "\n".join([*lines, *[f"WILL NOT DO: {fault}" for fault in described["faults"]]])


def _format_holder(holder: Mapping[str, Any]) -> str:
    size = f", {sum(holder['gib'].values()):.0f} GiB on each" if holder["gib"] else ""
    return f"{holder['name']} {holder['gpus']} ({holder['model']}{size})"
