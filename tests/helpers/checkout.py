"""A copy of the workflow to break and rebuild, and how to call Snakemake in it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loopback.audit import VARIABLE

ROOT = Path(__file__).parents[2]
SMALL = "tests/workflow/small.yaml"
TARGET = "out/results/test.json"


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository's files in which tests may edit and run."""

    path: Path

    def command(self, *args: str, configfiles: Sequence[str] = ()) -> list[str]:
        """The command line of a Snakemake run of the small configuration; targets come first.

        `configfiles` are laid on top of it.
        """
        snakemake = [sys.executable, "-m", "snakemake"]
        return [*snakemake, *args, "--cores", "2", "--configfile", SMALL, *configfiles]

    def environment(self) -> dict[str, str]:
        """The environment variables of a run: this interpreter first on PATH, no model hub.

        Python processes may reach this machine only, and what they tried besides stands in
        `left_machine`.
        """
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {name: text for name, text in os.environ.items() if name != "OMP_NUM_THREADS"}
        return {
            **kept,
            "PATH": path,
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": str(ROOT / "tests/loopback"),
            VARIABLE: str(self.path / "left_machine.txt"),
        }

    def left_machine(self) -> str:
        """What processes of the runs so far tried to reach beyond this machine."""
        file = self.path / "left_machine.txt"
        return file.read_text() if file.exists() else ""

    def run(self, *args: str, configfiles: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run Snakemake; stdout and stderr come back together in `stdout`."""
        return subprocess.run(
            self.command(*args, configfiles=configfiles), cwd=self.path, env=self.environment(),
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def plan(self, *args: str, target: str = TARGET) -> set[str]:
        """The rules that a dry run would run, services and totals left out."""
        ended = self.run(target, *args, "--dry-run", "--quiet", "rules")
        assert ended.returncode == 0, ended.stdout
        names = re.findall(r"^(\w+) +\d+$", ended.stdout, re.MULTILINE)
        return set(names) - {"serve", "total"}

    def copy(self, target: Path) -> "Checkout":
        """All of it, with what was built and what Snakemake knows of that."""
        return Checkout(Path(shutil.copytree(self.path, target, symlinks=True)))

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file; the text must be there."""
        file = self.path / name
        text = file.read_text()
        assert old in text, f"{old!r} is not in {name}"
        file.write_text(text.replace(old, new))


def copy_repository(target: Path) -> Checkout:
    """Copy what git tracks or would track, as a fresh clone has it."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, names):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return Checkout(target)
