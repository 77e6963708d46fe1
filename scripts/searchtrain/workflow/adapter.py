"""The one place that knows Snakemake's insides: locks, records, jobs, command line.

Invariant: no other file uses a name of Snakemake's that its documentation does not have. The names
used here are no promise of Snakemake's, so versions that this was not tested with are refused.
"""

import fcntl
import shutil
from collections.abc import Callable, Iterable
from functools import wraps
from logging import Handler
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

import snakemake
from snakemake.exceptions import WorkflowError
from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter, logger

from searchtrain.core.errors import SearchTrainError
from searchtrain.core.files import link_tree

TESTED = ("9.27.1",)
"""Versions of Snakemake whose insides are known to be as this module takes them."""
SAID = "said"
"""Mark of a log record that is meant for people, whatever its level."""
LOCK = Path(".snakemake/searchtrain.lock")
EARLIER = Path(".snakemake/earlier")

P = ParamSpec("P")
T = TypeVar("T")
Parameter = Callable[[Any, Any, Any], Any]


def check_version(version: str = snakemake.__version__) -> None:
    """Raise WorkflowError for a version of Snakemake that nobody tested."""
    if version not in TESTED:
        raise WorkflowError(
            f"Snakemake {version}: SearchTrain was tested with {', '.join(TESTED)} and uses names"
            f" that other versions may lack: pip install snakemake=={TESTED[-1]}"
        )


def find_library() -> str:
    """The folder of the libraries that Snakemake's report draws with, Vega among them."""
    return str(Path(snakemake.__file__).parent / "assets/data")


def make_untracked(render: Callable[[Any, Any], Any]) -> Parameter:
    """A parameter that makes no result stale, whatever it renders.

    `render(wildcards, input)` gives the value. Snakemake compares the parameters of a rule with
    those of the run that made its outputs, except the ones that it takes to be derived from
    something else: functions with an argument of the name `input`, `output`, `threads` or
    `resources` (`Rule._is_deriving_function`). The name of this function's argument `input` is what
    keeps its value out of the comparison.
    """

    def render_untracked(wildcards: Any, input: Any, resources: Any) -> Any:
        return render(wildcards, input)

    return render_untracked


def reported(work: Callable[P, T]) -> Callable[P, T]:
    """`work` for Snakemake: its errors for users become Snakemake's, which prints no traceback."""

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return work(*args, **kwargs)
        except SearchTrainError as error:
            raise WorkflowError(str(error)) from None

    return run


def make_default_handler(settings: Any) -> Handler:
    """Snakemake's own view of a run, as it is without a logger plugin."""
    handler: Handler = ColorizingTextHandler(nocolor=settings.nocolor)
    handler.setFormatter(DefaultFormatter(settings.quiet, settings.show_failed_logs))
    handler.addFilter(
        DefaultFilter(
            settings.quiet, settings.debug_dag, settings.verbose, settings.dryrun,
            settings.printshellcmds,
        )
    )  # fmt: skip
    return handler


class Run:
    """One run of Snakemake: at most one at a time, and earlier results survive a failure.

    Snakemake deletes the outputs of a rule before the rule starts, so a fault in an input or a
    server that does not answer would cost the result of the last good run. What is about to be
    rebuilt is therefore kept aside as hard links, and put back, with Snakemake's record of how it
    was made, when its rule failed: it is as stale as before, and still there.
    """

    def __init__(self, workflow: Any) -> None:
        self._workflow = workflow
        self._lock: IO[str] | None = None
        self._kept: dict[str, tuple[Path, Any]] = {}
        self._services: list[tuple[str, Any, list[str]]] = []

    @property
    def folder(self) -> Path:
        """The folder of the Snakefile."""
        return Path(self._workflow.basedir)

    def list_configfiles(self) -> list[str]:
        """The config files of the command line, as it names them if they are below this folder."""
        files = [Path(file) for file in self._workflow.overwrite_configfiles]
        here = Path.cwd()
        return [str(f.relative_to(here) if f.is_relative_to(here) else f) for f in files]

    def begin(self, *checks: Callable[[list[Any]], None]) -> None:
        """Take the lock, run `checks` on the jobs that will run, keep what these replace.

        Raises WorkflowError when another run works here or a check fails.
        """
        self._take_lock()
        jobs = list(self._workflow.dag.needrun_jobs())
        for check in checks:
            reported(check)(jobs)
        shutil.rmtree(EARLIER, ignore_errors=True)
        for job in jobs:
            for file in job.output:
                self._keep(job, file)

    def restore(self) -> None:
        """After a failure: put back what the failed rules had made before."""
        lost = {file for file in self._kept if not Path(file).exists()}
        for file in lost:
            kept, record = self._kept[file]
            link_tree(kept, Path(file))
            self._write_record(file, record)
        for file, record, products in self._services:
            if lost.intersection(products):
                self._write_record(file, record)

    def end(self) -> None:
        """After a success: what was kept is not needed any more."""
        shutil.rmtree(EARLIER, ignore_errors=True)

    def warn(self, text: str) -> None:
        """Show a warning."""
        logger.warning(text)

    def say(self, text: str) -> None:
        """Show what is meant for people."""
        logger.info(text, extra={SAID: True})

    def count_gpus(self) -> int | None:
        """The GPUs that all jobs of this run may use together; None: as many as there are."""
        most = self._workflow.global_resources.get("gpu")
        # A cluster's scheduler knows what there is.
        return None if most is None else most.value

    def _take_lock(self) -> None:
        # Snakemake's own lock outlives a run that was killed; the kernel gives this one back. It is
        # kept open, and so held, for as long as this process lives.
        LOCK.parent.mkdir(exist_ok=True)
        self._lock = LOCK.open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise WorkflowError(
                f"another run works in {Path.cwd()} ({LOCK} is held): wait for it"
            ) from None

    def _keep(self, job: Any, file: Any) -> None:
        record = self._workflow.persistence.metadata(file)
        if record is None:
            return
        if Path(file).exists():
            self._kept[file] = (EARLIER / str(len(self._kept)), record)
            link_tree(Path(file), self._kept[file][0])
        else:
            # A service's file is gone; its record is as old as what its consumers made.
            products = [out for user in self._workflow.dag.depending[job] for out in user.output]
            self._services.append((file, record, products))

    def _write_record(self, file: str, record: Any) -> None:
        self._workflow.persistence._write_record(str(file), record)


def list_rules(jobs: Iterable[Any]) -> set[str]:
    """The names of the rules that jobs are of."""
    return {job.rule.name for job in jobs}
