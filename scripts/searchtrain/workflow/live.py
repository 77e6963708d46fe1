"""A run as a person follows it: what is done, what runs, and what each job said last.

On a terminal a line stays for each finished job, and below them the jobs that run are drawn anew
twice a second; elsewhere there are plain lines. Dry runs and `--verbose` have Snakemake's own view.
Invariant: nothing else writes while jobs run: what they print goes to `OUTPUT`.
"""

import atexit
import os
import re
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from logging import WARNING, LogRecord
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from searchtrain.core.terminal import show_text
from searchtrain.workflow.adapter import SAID, make_default_handler

OUTPUT = Path(".snakemake/run.log")
REDRAWN = 0.5
"""Seconds between two pictures of what runs."""
REPEATED = 15.0
"""Seconds between two plain lines about what runs."""
TAIL = 8192
"""Bytes of a log's end that its last line is looked for in."""
ERROR_LINES = 12
COLOUR = re.compile(r"\x1b\[[\d;]*m")
"""What libraries paint their logs with."""
LONGEST = 2000
"""Characters of a line that are shown."""
STAMP = re.compile(r"^\d\d:\d\d:\d\d [\w-]+: ")
ORDINARY = re.compile(r"^(?:Missing output files|Input files updated by another job)[^;]*(?:; |$)")
"""Reasons that say no more than that the rule stands behind another one."""


@dataclass
class Job:
    """One job of the run."""

    name: str
    reason: str
    log: Path | None
    serves: bool = False
    """Whether it is a server, of which only the start is shown."""
    ready: bool = False
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """For how long it has run."""
        return time.monotonic() - self.began

    @property
    def why(self) -> str:
        """Why it runs again, where that is not plain from the order of the rules."""
        reason = self.reason
        while match := ORDINARY.match(reason):
            reason = reason[match.end() :]
        return reason

    def read_tail(self) -> list[str]:
        """The last lines of its log, without characters that a terminal obeys."""
        if self.log is None or not self.log.is_file():
            return []
        with self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            text = file.read().decode(errors="replace")
        lines = COLOUR.sub("", text).replace("\r", "\n").split("\n")
        return [show_text(line.rstrip(), LONGEST) for line in lines if line.strip()]

    def read_last(self) -> str:
        """What it said last, in one line; of a table its title."""
        lines = self.read_tail() or [""]
        self.ready |= self.serves and any(": ready after " in each for each in lines)
        titles = [line for line in lines if STAMP.match(line)]
        last = titles[-1].removesuffix(":") if titles and titles[-1].endswith(":") else lines[-1]
        return " ".join(STAMP.sub("", last).split())


class View:
    """What is drawn, by whichever thread."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.jobs: dict[int, Job] = {}
        self.done = self.total = 0
        self._began = time.monotonic()
        self._said = time.monotonic()
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(
                console=console, get_renderable=self._draw, refresh_per_second=1 / REDRAWN,
                transient=True, redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._live.start()
        else:
            threading.Thread(target=self._repeat, daemon=True).start()

    def say(self, text: str, style: str = "") -> None:
        """A line, or several, that stay."""
        with self._lock:
            self.console.print(Text(show_text(text, LONGEST), style), soft_wrap=True)

    def start_job(self, number: int, job: Job) -> None:
        """A job begins."""
        self.jobs[number] = job
        if not self._live and not job.serves:
            self.say(f"{_stamp()} {job.name} starts" + (f": {job.why}" if job.why else ""))

    def end_job(self, number: int) -> None:
        """A job is done."""
        job = self.jobs.pop(number, None)
        if job is None or job.serves:
            return
        if not self._live:
            self.say(f"{_stamp()} {job.name} done in {job.seconds:.0f} s: {job.read_last()}")
            return
        line = Text.assemble(
            ("✓ ", "green"), f"{job.name:<22.22} {_measure(job.seconds):>10}  ", no_wrap=True
        )
        line.append(job.read_last(), "dim")
        with self._lock:
            self._print_line(line)
            if job.why:
                self._print_line(Text(f"  because: {job.why}", "dim", no_wrap=True))

    def fail_job(self, number: int) -> None:
        """A job failed: what its log says at the end stays."""
        job = self.jobs.pop(number, None)
        if job is None:
            return
        lines = job.read_tail()
        if job.serves and not any("error: " in line for line in lines):
            return  # it was ended since the stage that it serves has failed
        self.say(f"✗ {job.name} failed after {job.seconds:.0f} s", "bold red")
        self.say("\n".join(f"  {line}" for line in lines[-ERROR_LINES:]))
        if job.log:
            self.say(f"  its log: {job.log}", "dim")

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._ended.set()
        if self._live:
            self._live.stop()

    def _print_line(self, line: Text) -> None:
        line.truncate(self.console.width, overflow="ellipsis")
        self.console.print(line, soft_wrap=True)

    def _draw(self) -> Group:
        spent = _measure(time.monotonic() - self._began)
        lines = [Text(f"{self.done} of {self.total} steps, {spent}", "bold")]
        for job in list(self.jobs.values()):
            last = job.read_last()
            if job.ready:
                continue
            line = Text.assemble(("▸ ", "cyan"), f"{job.name:<22.22} {_measure(job.seconds):>10}  ")
            line.append(last)
            line.truncate(self.console.width, overflow="ellipsis")
            lines.append(line)
        return Group(*lines)

    def _repeat(self) -> None:
        while not self._ended.wait(REPEATED):
            for job in list(self.jobs.values()):
                if job.seconds > REPEATED and (last := job.read_last()) and not job.ready:
                    self.say(f"{_stamp()} {job.name}: {last}")


class LogHandler(LogHandlerBase):
    """Snakemake's events, shown by a `View` from the first job on."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        settings = self.common_settings
        self._view: View | None = None
        self._kept: tuple[int, int] | None = None
        self._default = make_default_handler(settings)
        self._plain = bool(settings.verbose or settings.dryrun)
        atexit.register(self.close)

    def emit(self, record: LogRecord) -> None:
        """Show one record; a fault of the view must not end all logging."""
        try:
            if self._plain:
                self._emit_default(record)
            else:
                self._show(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """End the view and give the terminal back."""
        if self._view:
            self._view.close()
            self._view = None
        if self._kept:
            sys.stdout.flush()
            sys.stderr.flush()
            for saved, number in zip(self._kept, (1, 2), strict=True):
                os.dup2(saved, number)
            self._kept = None
        super().close()

    def _show(self, record: LogRecord) -> None:
        values, event = record.__dict__, getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self._begin(sum(values["stats"].values()) - values["stats"].get("total", 0))
        view = self._view
        if view is None:
            if _is_for_people(record):
                self._emit_default(record)
        elif event == LogEvent.JOB_INFO:
            view.start_job(values["jobid"], _read_job(values))
        elif event == LogEvent.JOB_FINISHED:
            view.end_job(values["job_id"])
        elif event == LogEvent.JOB_ERROR:
            view.fail_job(values["jobid"])
        elif event == LogEvent.PROGRESS:
            view.done, view.total = values["done"], values["total"]
        elif event in (None, LogEvent.ERROR) and _is_for_people(record):
            view.say(record.getMessage(), "yellow" if record.levelno == WARNING else "")

    def _emit_default(self, record: LogRecord) -> None:
        if self._default.filter(record):
            self._default.emit(record)

    def _begin(self, total: int) -> None:
        if self._view:
            return
        OUTPUT.parent.mkdir(exist_ok=True)
        sys.stdout.flush()
        sys.stderr.flush()
        saved = (os.dup(1), os.dup(2))
        output = os.open(OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        self._kept = saved
        stream = os.fdopen(os.dup(saved[1]), "w", encoding="utf-8", errors="replace")
        self._view = View(Console(file=stream, highlight=False))
        self._view.total = total


def _read_job(values: Mapping[str, Any]) -> Job:
    wildcards = dict(values["wildcards"].items()) if values["wildcards"] else {}
    server = wildcards.pop("server", "")
    place = "".join(filter(None, map(str, wildcards.values())))
    name = f"{server} (server)" if server else f"{place}{values['rule_name']}".replace("/", " ")
    logs = list(values["log"] or [])
    log = Path(logs[0]) if logs else None
    return Job(name, str(values["reason"] or ""), log, serves=bool(server))


def _is_for_people(record: LogRecord) -> bool:
    text = str(record.msg)
    if text.startswith("RuleException:"):  # a command line; what its job said is shown
        return False
    final = text.startswith(("Nothing to be done", "Complete log"))
    return final or record.levelno >= WARNING or hasattr(record, SAID)


def _stamp() -> str:
    return time.strftime("%H:%M:%S")


def _measure(seconds: float) -> str:
    """Seconds as people read them."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
