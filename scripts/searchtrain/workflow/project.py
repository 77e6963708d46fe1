"""What rules call: one checkout with its config, and what its rules say of stages and servers.

Invariant: a rule names its stage, and everything about staleness, servers, budget and secrets
follows from the tables (`stages`, `servers`, `students`).
"""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from searchtrain.config import Config, check_grpo, read_config
from searchtrain.config.rounds import plan_rows
from searchtrain.core.errors import InputError
from searchtrain.core.files import canonical_json, hash_file, read_json, write_json
from searchtrain.data.results import SETTINGS_FILE
from searchtrain.models.prompts import list_prompt_files
from searchtrain.task.budget import check_budget, start_clock, sum_rest
from searchtrain.task.constraints import check_task
from searchtrain.task.contexts import find_short
from searchtrain.task.ledger import Ledger
from searchtrain.task.pilot import apply_pilot
from searchtrain.task.plan import count_questions, find_stage, make_plan, shrinks
from searchtrain.task.stages import name_stage
from searchtrain.task.submitted import FILES as SUBMITTED
from searchtrain.workflow import servers, students
from searchtrain.workflow.adapter import (
    Parameter,
    Run,
    list_rules,
    make_untracked,
    reported,
)
from searchtrain.workflow.gpu_plan import find_misfits, list_steps
from searchtrain.workflow.stages import (
    EVALUATION,
    STAGES,
    digest_stage,
    list_asked,
    list_servers,
    list_settings,
    show_config,
)
from searchtrain.workflow.student_use import describe_student
from searchtrain.workflow.summary import describe_results

PROMPTS = "config/prompts"
FOUND = ("grpo/history.jsonl", "plan.json", "hours.json")
"""What figures show and no build of them makes."""
ALLOWED = ("trajectories", "checkpoint")
"""Rules whose scripts keep to an allowance (`task.allowance`)."""
TELLING = {
    "tree_gallery", "figures", "doctor", "plan", "hours", "submissions", "export", "transcripts",
}  # fmt: skip
MAKING = frozenset(STAGES) - TELLING
"""Rules that make rows, students or scores; the others tell of a run."""

ROLLOUTS = (
    "trajectories.parquet", "curation.parquet", "curated.parquet", "predictions.parquet",
    "scores.parquet",
)  # fmt: skip
"""Tables of rollouts, and of what judges them."""

T = TypeVar("T")
Find = Callable[[Config, str], T]
"""What finds something by the config and a name or place."""


class Project:
    """A checkout and its validated config."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        """Raises InputError with a line for each fault of the config."""
        self.folder = folder
        self.config = load_config(config)
        self.results = self.config.pathvars.get("results", "results")
        self.timings = self.config.pathvars.get("benchmarks", "benchmarks")
        self.settings_file = Path(self.results) / SETTINGS_FILE
        self.makes = False
        """Whether this run makes results, and does not only tell of some."""

    def stage(self, name: str, **options: str) -> dict[str, Any]:
        """The parameters of a rule: what makes it stale, and what its command line needs.

        `settings` and `code` are compared by Snakemake; `config`, `servers`, `options` and `before`
        (what the command begins with) make nothing stale. `options`: option of the script ->
        the input, output or wildcard that gives its value; what is empty or not there is left out.
        """
        return {
            "settings": lambda wildcards: list_settings(self.config, name, find_place(wildcards)),
            "code": digest_stage(self.config, name),
            "config": make_untracked(
                lambda wildcards, input: canonical_json(show_config(self.config, name))
            ),
            "servers": make_untracked(
                lambda wildcards, input: canonical_json(
                    self._find_addresses(name, wildcards, input)
                )
            ),
            "options": make_untracked(
                lambda wildcards, input: [
                    *list_options(options, wildcards, input),
                    *self._find_allowance(name, wildcards),
                ]
            ),
            "before": make_untracked(lambda wildcards, input: self._begin(name, wildcards)),
        }

    def servers(self, name: str) -> dict[str, Any]:
        """The inputs of a rule that are servers: nothing where the config has a URL."""
        inputs = {server: self._serve(name, server) for server in list_servers(self.config, name)}
        return inputs | ({"refine_prompt": self.prompt("refine")} if "refiner" in inputs else {})

    def of_round(self, find: Find[T]) -> Callable[[Any], T]:
        """An input or parameter that depends on the round, as `find(config, place)` says."""
        return lambda wildcards: reported(find)(self.config, wildcards.round)

    def of_student(self, find: Find[T]) -> Callable[[Any], T]:
        """The same for what depends on the student."""
        return lambda wildcards: reported(find)(self.config, wildcards.student)

    def of_server(self, find: Find[T]) -> Callable[[Any], T]:
        """The same for what depends on the server, by its name."""
        return lambda wildcards: reported(find)(self.config, wildcards.server)

    @property
    def launch(self) -> Parameter:
        """How a server is started: makes nothing stale."""
        return make_untracked(
            lambda wildcards, input: servers.describe_launch(
                self.config, wildcards.job, wildcards.server, list(input)
            )
        )

    @property
    def traced(self) -> bool:
        """Whether training data must trace to seed questions and the named teacher."""
        return bool(self.config.task.seed_data_only or self.config.task.teacher)

    def prompt(self, name: str) -> str:
        """A prompt file."""
        return f"{PROMPTS}/{name}.jinja"

    def agent_prompt(self, wildcards: Any) -> str:
        """The prompt of a round's rollouts: the teacher's, or the student's own."""
        later = students.number_of(wildcards.round) > 1
        return self.prompt("agent" if later else "agent_teacher")

    @property
    def draw(self) -> Parameter:
        """The option of a pilot's rollouts, which are about some of the questions."""

        @reported
        def render(wildcards: Any, input: Any) -> list[str]:
            if wildcards.round != students.PILOT:
                return []
            if self.config.plan.pilot is None:
                raise InputError("plan.pilot: null: pilot.json needs a number of questions, 200")
            return ["--draw", str(self.config.plan.pilot)]

        return make_untracked(render)

    def agent_included(self, wildcards: Any) -> list[str]:
        """What that prompt includes."""
        return self.included(Path(self.agent_prompt(wildcards)).stem)

    def student_prompt(self, wildcards: Any) -> str:
        """The prompt with which a student answers."""
        return self.prompt(students.find_prompt(self.config, wildcards.student))

    def student_included(self, wildcards: Any) -> list[str]:
        """What that prompt includes."""
        return self.included(students.find_prompt(self.config, wildcards.student))

    def reader_prompt(self, wildcards: Any) -> list[str]:
        """The prompt of the rows that teach reading, of a data set that has some."""
        return [self.prompt("read")] * bool(plan_rows(self.config, wildcards.round).reader)

    def dataset_included(self, wildcards: Any) -> list[str]:
        """What the prompts of a data set include."""
        reader = ["read"] * bool(self.reader_prompt(wildcards))
        return self.included("agent", *reader)

    def read_prompt(self, wildcards: Any) -> list[str]:
        """The prompt of retrieve, then read, of whoever answers so."""
        splits = students.list_splits(self.config, wildcards.student)
        return [self.prompt("read")] * any(split.endswith("retrieve_read") for split in splits)

    def included(self, *names: str) -> list[str]:
        """The files that prompt files include."""
        files = [list_prompt_files(self.folder / self.prompt(name))[1:] for name in names]
        return [file.relative_to(self.folder).as_posix() for part in files for file in part]

    def untracked(self, value: Any) -> Parameter:
        """A parameter that makes nothing stale, whatever its value."""
        return make_untracked(lambda wildcards, input: value)

    def begin(self, run: Run) -> None:
        """Before a run: one at a time, within the task's hours and the GPUs that there are, with
        endpoints that can do what they will be asked."""
        # Not when the workflow is read: plan.md and dry runs of a plan that is too long must work.
        run.begin(
            self._check_grpo,
            self._check_programs,
            self._check_hours,
            lambda jobs: self._check_gpus(jobs, run.count_gpus()),
            self._check_endpoints,
            self._note_settings,
        )
        for doubt in self.list_doubts():
            run.warn(f"warning: {doubt}")

    def end(self, run: Run) -> None:
        """After a run that succeeded: what it made."""
        run.end()
        settings, file = self.config.changes(), self.settings_file
        # A run that failed leaves those by which the earlier results were made.
        if self.makes and (not file.exists() or read_json(file) != settings):
            write_json(settings, file)
        results = Path(self.results)
        if said := describe_results(results):
            run.say("\n".join([said, *describe_student(self.config, results)]))

    def list_doubts(self) -> list[str]:
        """What may end a run hours after it began; plan.md says it as well."""
        misfits = find_misfits(self.config, list_steps(self.config))
        return misfits + [str(each) for each in find_short(self.config)]

    def list_endpoints(self) -> dict[str, str]:
        """The URLs that a run asks beside its own servers, but a student's, by role or search."""
        names = {role for _, role, _ in list_asked(self.config)} | {"retriever", self.config.search}
        sections = {name: servers.find_server(self.config, name).section for name in names}
        return {name: sections[name].endpoint for name in sorted(names) if sections[name].endpoint}

    def list_submitted(self) -> list[str]:
        """The files that the table of submissions compares, as far as they are there."""
        folders = self.config.task.submissions.values()
        files = [Path(folder) / name for folder in folders for name in SUBMITTED]
        return [file.as_posix() for file in files if file.exists()]

    def list_rollouts(self) -> list[str]:
        """The tables of rollouts and of what judges them, as far as they are there; before there
        are any, those of the teacher."""
        rounds = [students.place_of(number) for number in range(1, self.config.rounds.count + 1)]
        places = dict.fromkeys([*rounds, *students.list_students(self.config)])
        files = [Path(self.results) / place / name for place in places for name in ROLLOUTS]
        there = [file.as_posix() for file in files if file.exists()]
        return there or [(Path(self.results) / name).as_posix() for name in ROLLOUTS[:3]]

    def list_existing(self, file: str | None) -> list[str]:
        """A file that the config names, if it is there."""
        path = Path((file or "").replace("<results>", self.results))
        return [path.as_posix()] if path.is_file() else []

    def list_measured(self) -> list[str]:
        """What a pilot measured, once it has."""
        file = Path(self.results) / "pilot.json"
        return [file.as_posix()] if file.exists() else []

    def digest_found(self) -> dict[str, str]:
        """What figures also show where another target has made it, and what is in it.

        A parameter and no input, so that figures never make their run train by GRPO, or plan.
        """
        files = {name: Path(self.results) / name for name in FOUND}
        return {name: hash_file(file) for name, file in files.items() if file.exists()}

    def list_commands(self, run: Run) -> str:
        """How each submission is built, as far as this run's own command line tells, as JSON."""
        commands = {}
        for name, folder in self.config.task.submissions.items():
            change = Path("config/submissions") / f"{name}.yaml"
            files = [*run.list_configfiles(), *[str(change)] * change.exists()]
            target = ["snakemake", f"{folder}/test.json", "--cores", "all"]
            commands[name] = shlex.join([*target, *["--configfile"] * bool(files), *files])
        return canonical_json(commands)

    def estimate_index_memory(self) -> int:
        """Megabytes that building the index takes (measured: 3.3 times the corpus, for BM25)."""
        # The laptop's is not there yet, and small.
        corpus = Path(self.config.data.corpus or "no corpus")
        packed = 3 if corpus.suffix in (".gz", ".parquet") else 1  # about, of text
        return int(2000 + 5 * packed * (corpus.stat().st_size / 1e6 if corpus.exists() else 0))

    @cached_property
    def planned(self) -> Config:
        """The config with what a pilot measured."""
        measured = self.list_measured()
        return apply_pilot(self.config, read_json(measured[0]))[0] if measured else self.config

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The plan of the run's hours; made when it is first needed."""
        return make_plan(self.planned, count_questions(self.config, self.results))

    def _serve(self, name: str, server: str) -> Callable[[Any], str | list[str]]:
        @reported
        def render(wildcards: Any) -> str | list[str]:
            wanted = self._choose(name, server, wildcards)
            return servers.name_service(self.config, name_job(name, wildcards), wanted) or []

        return render

    def _choose(self, name: str, server: str, wildcards: Any) -> str:
        """Which server stands behind a name: of the student, the one that the place is about."""
        place = find_place(wildcards)
        if name == "predict" and server == "student":
            return students.find_student(self.config, place).name
        if name == "trajectories" and server == "teacher" and students.number_of(place) > 1:
            # A later round's rollouts are those of the student before.
            return students.student_after(self.config, students.number_of(place) - 1).name
        return server

    def _find_addresses(self, name: str, wildcards: Any, input: Any) -> dict[str, str]:
        """Where a stage finds its servers: endpoint files among its inputs, else URLs."""
        addresses = {}
        for server in list_servers(self.config, name):
            section = servers.find_server(
                self.config, self._choose(name, server, wildcards)
            ).section
            addresses[server] = section.endpoint or str(getattr(input, server))
        return addresses

    def _begin(self, name: str, wildcards: Any) -> str:
        """What a command begins with: the task's hours checked, the teacher's keys taken away."""
        before = ""
        if planned := self._find_planned(name, wildcards):
            task = self.config.task
            rest = sum_rest(self.plan, planned)
            check = ["--rest", f"{rest:.4f}", "--budget", f"{task.budget_hours:g}"]
            check += ["--over-budget", task.over_budget, "--cache", self.config.cache]
            if shrinks(self.config):
                check += ["--results", self.results, "--timings", self.timings]
                check += ["--job", name_timing(name, wildcards)]
            script = ["python", "scripts/budget.py", "--stage", planned]
            before = shlex.join([*script, *check]) + " && "
        if name in EVALUATION:
            before += servers.hide_secrets(self.config)
        return before

    def _find_planned(self, name: str, wildcards: Any) -> str | None:
        """The planned stage that a job is, where hours are counted; else none."""
        if not STAGES[name].timed or self.config.task.budget_hours is None:
            return None
        planned = name_stage(name, find_place(wildcards))
        return None if find_stage(self.plan, planned) is None else planned

    def _find_allowance(self, name: str, wildcards: Any) -> list[str]:
        """The option of a stage that reads its allowance, where a late run shrinks."""
        if name not in ALLOWED or not shrinks(self.config):
            return []
        if not self._find_planned(name, wildcards):
            return []
        ledger = Ledger.of(self.results, self.timings)
        return ["--allowance", str(ledger.name_allowance(name_timing(name, wildcards)))]

    def _note_settings(self, jobs: list[Any]) -> None:
        """Write down what the first results are made by, for whoever looks at them half-built."""
        self.makes = bool(list_rules(jobs) & MAKING)
        if self.makes and not self.settings_file.exists():
            write_json(self.config.changes(), self.settings_file)

    def _check_grpo(self, jobs: list[Any]) -> None:
        """Before anything is trained that GRPO could not go on with."""
        if "grpo" not in list_rules(jobs):
            return
        check_grpo(self.config)

    def _check_programs(self, jobs: list[Any]) -> None:
        """Rules with an environment of their own need it to be there."""
        needed = {"grpo": ("grpo", self.config.grpo.python, "TRL"),
                  "transcripts": ("view", self.config.view.python, "inspect-ai")}  # fmt: skip
        for rule in list_rules(jobs) & set(needed):
            section, python, package = needed[rule]
            if shutil.which(python) is None:
                raise InputError(
                    f"configuration: {section}.python: {python}: no such program; `make"
                    f" setup-{section}` makes its environment, or name a Python that has {package}"
                )

    def _check_hours(self, jobs: list[Any]) -> None:
        """Start the task's clock; refuse long stages that the plan has no time for."""
        rules = list_rules(jobs)
        timed = {name for name, stage in STAGES.items() if stage.timed} | {"index"}
        if self.config.task.budget_hours is None or not rules & timed:
            return
        start_clock(self.config.cache)
        check_budget(self.plan, self.planned)
        if shrinks(self.config):
            ledger = Ledger.of(self.results, self.timings)
            ledger.open_run(self.planned, count_questions(self.config, self.results))

    def _check_endpoints(self, jobs: list[Any]) -> None:
        """Ask endpoints what the run will ask, before anything is spent on them (`probe`)."""
        endpoints = self.list_endpoints()
        rules = list_rules(jobs)
        buying = {stage for stage, role, _ in list_asked(self.config) if role in endpoints}
        if "retriever" in endpoints:
            search = {"retriever", "agent" if self.config.search == "retriever" else "retriever"}
            buying |= {name for name, stage in STAGES.items() if stage.search in search}
        if not self.config.probe or "doctor" in rules or not rules & buying:
            return
        done = subprocess.run(
            [sys.executable, "scripts/doctor.py", *self.list_doctor_arguments()],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            *_, last = done.stderr.strip().splitlines() or ["no message"]
            raise InputError(f"the endpoints can not do what this run asks: {last}")

    def list_doctor_arguments(self) -> list[str]:
        """The command line of `scripts/doctor.py`."""
        return [
            *("--config", canonical_json(show_config(self.config, "doctor"))),
            *("--asked", canonical_json(list_asked(self.config))),
            *("--servers", canonical_json(self.list_endpoints())),
            *("--prompts", str(self.folder / PROMPTS)),
        ]

    def _check_gpus(self, jobs: list[Any], most: int | None) -> None:
        """Snakemake would give a job fewer GPUs than it asks for, and say nothing."""
        rules = list_rules(jobs)
        for step in list_steps(self.config) if most is not None else ():
            if step.stage in rules and step.gpus > (most or 0):
                keys = " + ".join(holder.key for holder in step.holders if holder.gpus)
                raise InputError(
                    f"configuration: {keys}: rule {step.stage} asks for {step.gpus} GPUs, and this"
                    f" run may use {most}: lower {keys}, or take another profile or --resources"
                    f" gpu={step.gpus}"
                )


def load_config(values: Mapping[str, Any]) -> Config:
    """Validate a config and check what it names: constraints, files, encoder.

    Raises InputError with a line for each fault.
    """
    config = read_config(values)
    check_task(config)
    students.check_average(config)
    for key, file in list_named_files(config).items():
        # Snakemake would go on with what an earlier run made of a file that is gone.
        if file and not file.startswith("<results>") and not Path(file).exists():
            raise InputError(f"configuration: {key}: {file}: no such file; check the path")
    return servers.revise_scripted(config)


def list_named_files(config: Config) -> dict[str, str | None]:
    """The files and folders that the config names, by their keys."""
    data = config.data
    files = {f"data.{key}": value for key, value in data if isinstance(value, str)}
    files |= {f"data.benchmarks.{name}": file for name, file in data.benchmarks.items()}
    for name, qrels in data.qrels.items():
        files |= {f"data.qrels.{name}.{kind}": file for kind, file in qrels if file}
    encoder = servers.list_encoder(config)
    return {
        **files,
        "train.base": config.train.base,
        "mix.file": config.mix.file,
        "retriever.embedder.model": encoder[0] if encoder else None,
        "retriever.index.faiss": config.retriever.index.faiss,
        "retriever.reranker.model": config.retriever.reranker.model,
    }


def find_place(wildcards: Any) -> str:
    """The place that a job is about: of a student or of a round's data."""
    return getattr(wildcards, "student", "") or getattr(wildcards, "round", "")


def name_job(stage: str, wildcards: Any) -> str:
    """A stage's job in one word, for the endpoint files of its servers: `predict.rounds1`."""
    return ".".join([stage, *filter(None, (value.replace("/", "") for value in wildcards))])


def name_timing(rule: str, wildcards: Any) -> str:
    """A job's timing, by its path among the timings."""
    shard = getattr(wildcards, "shard", "")
    return f"{find_place(wildcards)}{rule}{f'/{shard}' if shard else ''}"


def list_options(options: Mapping[str, str], wildcards: Any, input: Any) -> list[str]:
    """Command-line options whose inputs or wildcards are there."""
    rendered: list[str] = []
    for option, source in options.items():
        value = getattr(input, source, None) or getattr(wildcards, source, None)
        if value:
            values = [value] if isinstance(value, str) else [str(each) for each in value]
            rendered += [f"--{option.replace('_', '-')}", *values]
    return rendered
