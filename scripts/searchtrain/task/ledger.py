"""Where a run keeps what it planned and allowed: `.allowance/` in its folder of results.

| file         | what                                                                |
|--------------|---------------------------------------------------------------------|
| run.json     | the config and the questions that the rest is planned from          |
| <job>.json   | a job's allowance (`task.allowance`), named like the job's timing   |

Invariant: a job has ended if its timing is newer than its allowance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from searchtrain.config import Config, read_config
from searchtrain.core.files import read_json, write_json
from searchtrain.data import schemas
from searchtrain.task.allowance import ROLLING, Allowance, Spent
from searchtrain.task.stages import TRIALS, plan_stages
from searchtrain.task.timings import join_shards, read_timing

FOLDER = ".allowance"
RUN = "run.json"
CURATED = "curated.parquet"


@dataclass(frozen=True, slots=True)
class Ledger:
    """The folder of a run, and that of its timings."""

    folder: Path
    timings: Path

    @classmethod
    def of(cls, results: str | Path, timings: str | Path) -> "Ledger":
        """The ledger of a folder of results."""
        return cls(Path(results) / FOLDER, Path(timings))

    def name_allowance(self, job: str) -> Path:
        """The file of a job's allowance."""
        return self.folder / f"{job}.json"

    def open_run(self, config: Config, counts: Mapping[str, int]) -> None:
        """Note what the run is planned from, but for what no plan needs of the models: a job that
        answers evaluation questions reads this, too."""
        values = config.changes()
        values["models"] = {
            role: section for role, section in values.get("models", {}).items() if role == "student"
        }
        write_json({"config": values, "questions": dict(counts)}, self.folder / RUN)

    def read_run(self, stage: str) -> tuple[Config, dict[str, int]]:
        """The config and the questions of the run; behind the rollouts, `kept` of them as well."""
        run = read_json(self.folder / RUN)
        config, counts = read_config(run["config"]), dict(run["questions"])
        curated, names = (
            self.folder.parent / CURATED,
            [each.name for each in plan_stages(config, counts)],
        )
        if curated.exists() and names.index(stage) > names.index(ROLLING):
            counts["kept"] = schemas.read_table(curated, schemas.Curated).height
        return config, counts

    def list_allowances(self) -> dict[str, dict[str, Any]]:
        """Every allowance by its job, in the order in which they were given."""
        files = [each for each in self.folder.rglob("*.json") if each.name != RUN]
        files.sort(key=lambda file: file.stat().st_mtime)
        jobs = {file.relative_to(self.folder).with_suffix("").as_posix(): file for file in files}
        return {job: read_json(file) for job, file in jobs.items()}

    def list_dropped(self) -> list[str]:
        """Candidates whose training was left out."""
        allowances = self.list_allowances().items()
        return [
            name
            for job, allowance in allowances
            for name in allowance["left_out"]
            if job == f"{TRIALS}{name}/checkpoint"
        ]

    def read_spent(self, shards: int) -> dict[str, Spent]:
        """The stages that have ended, by name; one of several shards when all of them have."""
        jobs: dict[str, dict[str, float]] = {}
        first: dict[str, dict[str, Any]] = {}
        for job, allowance in self.list_allowances().items():
            timing = self.timings / f"{job}.tsv"
            if not _is_newer(timing, self.name_allowance(job)):
                continue
            first.setdefault(allowance["stage"], allowance)
            jobs.setdefault(allowance["stage"], {})[job] = read_timing(timing)
        return {
            stage: self._sum_up(first[stage], list(hours.values()))
            for stage, hours in jobs.items()
            if stage != ROLLING or len(hours) == shards
        }

    def _sum_up(self, allowance: Mapping[str, Any], hours: list[float]) -> Spent:
        planned = allowance["stage_hours"]
        report = self.folder.parent / f"{allowance['stage']}_report.json"
        if allowance["stage"] == ROLLING and report.exists() and allowance["stage_items"]:
            # The waves behind the first end with what is solved, or when time is short.
            told = read_json(report)
            waves = told.get("waves") or {"first": {"rollouts": told["rollouts"]["run"]}}
            run = sum(wave["rollouts"] for wave in waves.values())
            planned *= run / allowance["stage_items"]
        return Spent(allowance["kind"], planned, join_shards(hours, allowance["servers"]))


def list_said(allowances: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What was left out, a line for each, with the job before which it was said first."""
    said: dict[str, str] = {}
    for job, each in allowances.items():
        for line in each["said"]:
            said.setdefault(line.partition(":")[0], f"before {job}: {line}")
    return list(said.values())


def describe_allowance(allowance: Allowance) -> str:
    """One line for the log."""
    last = ""
    if allowance.deadline is not None:
        clock = datetime.fromtimestamp(allowance.deadline, UTC)
        last = f"; behind the first wave no rollout begins after {clock:%d %B %H:%M} UTC"
    return (
        f"{allowance.hours_gone:.2f} h have gone by, {allowance.hours_planned:.2f} h are planned"
        f" from {allowance.stage} on, {allowance.hours_left:.2f} h are left{last}"
    )


def _is_newer(timing: Path, allowance: Path) -> bool:
    return timing.exists() and timing.stat().st_mtime > allowance.stat().st_mtime
