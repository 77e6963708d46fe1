"""The table of stages: for each rule the settings, models, search and code that decide its result.

Invariant: what is not named here makes no result of a rule stale. Inputs and prompts are files,
which Snakemake compares itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from searchtrain.config import Config, describe_limits
from searchtrain.config.rounds import find_candidate, plan_rollouts, plan_rows, plan_training
from searchtrain.config.writers import find_only
from searchtrain.core.files import canonical_json
from searchtrain.models.role import find_section as find_section_of
from searchtrain.workflow.code import digest_modules
from searchtrain.workflow.students import count_drawn, number_of, round_of

PLANNED = (
    "task", "plan", "data", "world", "sample", "trajectories", "curate", "train", "trials", "rows",
    "preferences", "predict",
    "models", "refine", "judge", "shortcuts", "trees", "rounds", "grpo", "search", "retriever",
)  # fmt: skip
"""The sections that a plan of hours and GPUs depends on."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What decides the result of one rule."""

    code: tuple[str, ...]
    """Modules of the library; what they import counts as well."""
    settings: tuple[str, ...] = ()
    """Sections whose tracked settings count; `trees:questions`: those that are read by another
    stage than the section's own (`Section.tracked`)."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Role that is asked -> the section that holds its sampling, `trees.sampling.planner`."""
    search: str = ""
    """`agent`: whatever `search` names, with the refiner; `retriever`: that one alone."""
    student: bool = False
    """Whether it asks a student."""
    timed: bool = False
    """Whether it is a long stage, before which the task's hours are checked."""


EVALUATION = ("predict", "judge", "metrics", "benchmarks", "browsecomp")
"""Stages that answer or score evaluation questions: what the task says of its teacher, and its
endpoint, does not reach them."""
SEARCHES = ("search", "retriever")
"""Servers that are no model."""
TREE = "trees.sampling"
STAGES = {
    "world": Stage(("demo.world",), ("world",)),
    "base": Stage(("demo.base",), ("base",)),
    "corpus": Stage(("search.corpus",)),
    "index": Stage((), ("retriever.index",)),
    "seeds": Stage(("questions.seeds",), ("seeds",)),
    "tag": Stage(("questions.tagging",), ("tag",), {"teacher": "tag.sampling"}, timed=True),
    "sample": Stage(("questions.sampling",), ("sample",)),
    "trees": Stage(
        ("trees.growth", "trees.roots", "trees.quality"), ("trees",),
        {"planner": f"{TREE}.planner", "browser": f"{TREE}.browser"}, search="retriever",
    ),
    "written_trees": Stage(
        ("trees.writing",), ("trees:written_trees",), {"writer": f"{TREE}.writer"}
    ),
    "verify": Stage(
        ("trees.verification",), ("verify",),
        {"solver": "verify.sampling.solver", "verifier": "verify.sampling.verifier"},
        search="retriever",
    ),
    "tree_gallery": Stage(("report.tree_gallery",)),
    "questions": Stage(("questions.seeds",), ("seeds", "trees:questions")),
    "trajectories": Stage(("agent.loop",), search="agent", timed=True),
    "shards": Stage(("agent.shards",)),
    "shortcuts": Stage(("curation.shortcuts",), ("shortcuts",), {"judge": "shortcuts.sampling"}),
    "equivalents": Stage(
        ("curation.equivalents",), ("curate.answers:equivalents",),
        {"judge": "curate.answers.sampling"},
    ),
    "curate": Stage(("curation.choice",), ("curate",)),
    "sft_dataset": Stage(("training.sharegpt", "training.mixing", "training.rows")),
    "preferences": Stage(("training.preferences", "curation.choice"), ("preferences",)),
    "defects": Stage(("demo.defects",), ("models.teacher.scripted",)),
    "checkpoint": Stage(("training.trainer", "training.worker"), timed=True),
    "average": Stage(("training.averaging",), ("trials:average",)),
    "choice": Stage(("evaluation.trials",)),
    "grpo": Stage(("rl.trainer",), ("grpo",), search="agent"),
    "predict": Stage(
        ("agent.loop", "agent.retrieve_read"), ("predict",),
        search="agent", student=True, timed=True,
    ),
    "benchmarks": Stage(("evaluation.benchmarks",)),
    "judge": Stage(("evaluation.judge",), ("judge",), {"judge": "judge.sampling"}),
    "metrics": Stage(
        ("evaluation.metrics", "evaluation.conditions", "evaluation.submission"),
        ("predict:metrics",),
    ),
    "yields": Stage(("evaluation.yields", "evaluation.conditions")),
    "browsecomp": Stage(("evaluation.browsecomp_runs", "evaluation.browsecomp_scores")),
    "figures": Stage(
        ("report.contents", "report.page"), ("task", "task:plan", "task:submissions")
    ),
    "doctor": Stage(()),
    "plan": Stage(("task.proposal", "task.pilot", "task.contexts", "workflow.gpu_plan")),
    "pilot": Stage(("task.pilot",), ("curate",)),
    "hours": Stage(("task.timings",)),
    "submissions": Stage(("task.submissions",)),
    "export": Stage(
        ("export.card", "export.dataset", "export.atif", "training.chats"),
        ("data:export", "task"),
    ),
    "transcripts": Stage(("export.transcripts",)),
}  # fmt: skip


def list_modules(config: Config, name: str) -> tuple[str, ...]:
    """The code of a stage, of the backends that the config names and no other."""
    modules = list(STAGES[name].code)
    # What is sent to a model, and what counts of its reply.
    modules += ["models.reply", "models.request"] * bool(list_roles(config, name))
    if STAGES[name].search == "agent":
        modules += ["search.web"] * (config.search == "web")
        modules += ["agent.refiner"] * config.refine.enabled
    if name == "trajectories" and plan_rollouts(config, 1).judged:
        modules.append("curation.choice")
    if name == "index":
        modules.append(f"search.{config.retriever.index.engine}")
    if name == "predict" and config.predict.agreement > 1:
        modules.append("evaluation.agreement")
    if name == "checkpoint" and config.train.attention == "varlen":
        modules.append("training.attention")
    return tuple(modules)


def digest_stage(config: Config, name: str) -> str:
    """What the code of a stage does, as a digest."""
    return digest_modules(list_modules(config, name))


def list_roles(config: Config, name: str) -> list[str]:
    """The roles that a stage asks, or whose settings it reads."""
    roles = [server for server in list_servers(config, name) if server not in SEARCHES]
    # A later round's rollouts are the student's; defects are compared with the teacher's rates, and
    # what others read tells what the teacher cost.
    read = dict.fromkeys(("defects", "transcripts", "export"), "teacher")
    read["trajectories"] = "student"
    return [*roles, *filter(None, [read.get(name)])]


def list_servers(config: Config, name: str) -> list[str]:
    """The servers of a stage, by the names under which its script finds them."""
    stage = STAGES[name]
    search = ["search" if stage.search == "agent" else stage.search] * bool(stage.search)
    writer = ["teacher"] * (name == "trajectories") + ["student"] * stage.student
    refiner = ["refiner"] * (stage.search == "agent" and config.refine.enabled)
    return [*stage.roles, *writer, *search, *refiner]


def list_stages(config: Config) -> list[str]:
    """The stages of the table, in its order, but those that the config switches off."""
    switched = {
        "index": config.search == "retriever" or config.trees.enabled,
        "shortcuts": config.shortcuts.enabled,
        "equivalents": config.curate.answers.judge,
        "judge": config.judge.enabled,
        "average": bool(config.trials.average),
        "choice": bool(config.trials.candidates),
        **dict.fromkeys(("trees", "written_trees", "verify", "tree_gallery"), config.trees.enabled),
    }
    return [name for name in STAGES if switched.get(name, True)]


def list_asked(config: Config) -> list[tuple[str, str, str]]:
    """The stages of a run that ask models, the roles they ask, and the sections of the sampling."""
    asked = [(name, *pair) for name in list_stages(config) for pair in STAGES[name].roles.items()]
    asked += [("refine", "refiner", "refine.sampling")] * config.refine.enabled
    asked += [("trajectories", "teacher", "trajectories.more.sampling")] * bool(
        config.trajectories.more.rollouts
    )
    return [*asked, ("trajectories", "teacher", "trajectories.sampling")]


def show_config(config: Config, name: str) -> dict[str, Any]:
    """What the script of a stage gets of the config: no model that it does not ask."""
    shown = config.changes()
    if name in ("plan", "doctor"):
        return shown
    roles = list_roles(config, name)
    roles += [config.models.owner(role) for role in roles]
    # Its format is that of the training data, and what it is served is what it is trained on; GRPO
    # knows one format only. Scores stand beside its sampling.
    asking = ("sft_dataset", "preferences", "checkpoint", "grpo", "metrics", "export")
    roles += ["student"] * (name in asking)
    shown["models"] = {
        role: values for role, values in shown.get("models", {}).items() if role in roles
    }
    return {key: shown[key] for key in shown if not (key == "task" and name in EVALUATION)}


def list_settings(config: Config, name: str, place: str = "") -> str:
    """Every setting that decides the result of a stage, as canonical JSON.

    `place`: of the round's data or of the student, where a rule has one for each.
    """
    stage = STAGES[name]
    values: dict[str, Any] = {}
    for each in stage.settings:
        section, _, reader = each.partition(":")
        values[each] = find_section(config, section).tracked(reader)
    for role, sampling in stage.roles.items():
        values[role] = identify(config, role, find_section(config, sampling))
    if stage.student:
        values["student"] = identify(config, "student", config.models.student.sampling)
        values["format"] = config.models.student.format
    if stage.search == "agent":
        values |= describe_search(config)
    elif stage.search:
        values |= describe_retriever(config)
    values |= describe_own(config, name, place)
    return canonical_json(values)


def describe_own(config: Config, name: str, place: str) -> dict[str, Any]:
    """What decides a stage besides its sections and models."""
    if name == "trajectories":
        plan = plan_rollouts(config, number_of(place))
        return {
            "rollouts": plan.rollouts,
            "questions": count_drawn(config, place),
            "seed": plan.seed,
            "max_failed_share": config.trajectories.max_failed_share,
            "limits": plan.limits.tracked(),
            "thought": config.trajectories.thought,
            "model": identify(config, plan.role, plan.sampling),
            "format": find_section_of(config, plan.role).format,
            "accepted": plan.accepted,
            "rules": describe_acceptance(config) if plan.judged else None,
            "more": [plan.more, config.trajectories.more.sampling.tracked()] if plan.more else None,
            "hints": plan.hints,
            "shards": config.trajectories.shards,
        }
    if name == "checkpoint":
        settings = plan_training(config, round_of(config, place), place)
        if (candidate := find_candidate(config, place)) and candidate.preference:
            return {"train": settings.tracked(), "preference": True}
        # Else what is served is only compared with what is trained on.
        served = {"student": describe_student(config)} if settings.tokens == "served" else {}
        return {"train": settings.tracked(), **served}
    if name == "grpo":
        return {"limits": config.predict.limits.tracked()}
    if name == "sft_dataset":
        # Only what the student's prompt says, and its format; its other limits change no record.
        told = describe_limits(config.predict.limits, config.models.student.format)
        values: dict[str, Any] = {"limits": told, "student": describe_student(config)}
        values |= {"mix": config.mix.tracked()} if config.mix.file else {}
        rows = plan_rows(config, place)
        return values | ({"rows": rows.tracked()} if rows.reader or rows.answers else {})
    if name == "preferences":
        told = describe_limits(config.predict.limits, config.models.student.format)
        rules = describe_acceptance(config)
        return {"limits": told, "student": describe_student(config), "rules": rules}
    if name == "curate":
        return {"clean": True} if config.predict.clean else {}
    if name == "index" and config.retriever.index.engine != "bm25":
        return {"embedder": config.retriever.embedder.tracked()}
    if name == "benchmarks":
        return {"names": list(config.data.benchmarks)}
    if name == "plan":
        # Hours and GPUs depend on what makes no other result stale, too.
        return config.model_dump(include=set(PLANNED))
    if name == "transcripts":
        price = config.models.teacher.price.model_dump()
        return {"price": price, "refined": config.refine.enabled, "rounds": config.rounds.data}
    if name == "figures":
        return {"train": config.data.train, "base": config.train.base}
    if name == "export":
        limits = config.predict.limits
        return {
            "limits": [describe_limits(limits, form) for form in ("tags", "tool_calls")],
            "files": [config.data.train, config.data.corpus],
            "price": config.models.resolve("teacher").price.model_dump(),
        }
    if name == "submissions":
        return {"folders": config.task.submissions}
    return {}


def describe_acceptance(config: Config) -> dict[str, Any]:
    """What decides which rollouts are right."""
    answers = config.curate.answers
    told = {"equivalent": True, "max_words": answers.max_words} if answers.equivalent else {}
    return config.curate.rules.tracked() | ({"answers": told} if told else {})


def describe_search(config: Config) -> dict[str, Any]:
    """What decides what an agent finds, but for the index, which is a file."""
    values: dict[str, Any] = {}
    if config.search == "web":
        values["web"] = config.web.tracked()
    else:
        values |= describe_retriever(config)
    if config.refine.enabled:
        values["refine"] = config.refine.tracked()
        values["refiner"] = identify(config, "refiner", config.refine.sampling)
    return values


def describe_retriever(config: Config) -> dict[str, Any]:
    """What is said of a retriever elsewhere; that of the workflow's own is the server's."""
    told = config.retriever.endpoint and config.retriever.revision
    return {"retriever": told} if told else {}


def describe_student(config: Config) -> dict[str, Any]:
    """What decides the messages that the student gets, and how its server renders them."""
    section = config.models.student
    kinds = {name: getattr(section, name) for name in ("format", "reasoning", "dialect", "wire")}
    options = (section.sampling.model_extra or {}).get("chat_template_kwargs", {})
    return {**kinds, "chat_template_kwargs": options}


def identify(config: Config, role: str, sampling: Any) -> dict[str, Any]:
    """What decides a role's answers, the constraint on who may give them included."""
    values = {**find_section_of(config, role).tracked(), "sampling": sampling.tracked()}
    only = find_only(config, role)
    return values | ({"only": only} if only else {})


def find_section(config: Config, path: str) -> Any:
    """A section by its dotted path."""
    return attrgetter(path)(config)
