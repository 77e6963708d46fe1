"""The commands of the documentation, run: each truly, or as far as a small machine can.

Snakemake is run dry, with exactly the arguments that the page says; `make` says what it would do,
and what that is of Snakemake is run dry; pytest collects. A command that is not known here is a
fault of the page, or of this file.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable

import yaml

from helpers.checkout import ROOT, Checkout
from helpers.pages import list_commands, list_files

ELSEWHERE = {
    "kubectl": "needs a cluster",
    "source .venv/bin/activate": "tests run in that environment",
}
"""Commands that no test runs, and why."""
RUN = {"cat", "cp", "export", "python", "rm", "sed", "tail"}
"""Programs that are run as they stand."""
FILES = {
    "corpus": "passages.jsonl",
    "train": "train.json",
    "dev": "dev.json",
    "test": "test.json",
}
"""Of the laptop world, by their names in `data`."""
ASSIGNMENT = re.compile(r"[A-Z_]+=")


def read_words(command: str) -> list[str]:
    """The words of a command, without variables before it."""
    words = shlex.split(command.replace("\\\n", ""), comments=True)
    while ASSIGNMENT.match(words[0]):
        words = words[1:]
    return words


def classify(command: str) -> str:
    """`dry` (Snakemake), `run`, or nothing where no test can; ValueError for an unknown one."""
    words = read_words(command)
    if any(words[: len(shlex.split(name))] == shlex.split(name) for name in ELSEWHERE):
        return ""
    if words[0] == "snakemake":
        return "dry"
    if words[0] in RUN | {"make"}:
        return "run"
    raise ValueError(f"tests/helpers/commands.py does not know how to run: {command}")


def run_pages(checkout: Checkout, pages: Iterable[str]) -> dict[str, dict[str, tuple[int, str]]]:
    """For each page its commands, each with its exit status and what it said.

    `checkout` is one in which results/ is built. Scripts run one after the other, as a reader types
    them, Snakemake's dry runs at the end.
    """
    ended: dict[str, dict[str, tuple[int, str]]] = {}
    dry, files = [], {}
    for page in pages:
        ended[page] = {}
        for name, text in list_files(page).items():
            assert files.setdefault(name, text) == text, f"{page}: another {name} than elsewhere"
            (checkout.path / name).write_text(text)
        environment = checkout.environment()
        for command in list_commands(page):
            kind = classify(command)
            if kind == "dry":
                dry.append((page, command))
            elif kind:
                ended[page][command] = run_command(command, checkout, environment)
    # Several pages give the same one.
    arguments = {command: make_dry(command) for _, command in dry}
    results = run_dry(list(dict.fromkeys(arguments.values())), checkout)
    for page, command in dry:
        ended[page][command] = results[arguments[command]]
    return ended


def run_command(command: str, checkout: Checkout, environment: dict[str, str]) -> tuple[int, str]:
    """Run it in bash; what it exports stays in `environment`."""
    words = read_words(command)
    if words[0] == "make":
        command = shlex.join([*words, "--just-print"])
        status, printed = run_bash(command, checkout, environment)
        for line in list_runs(printed) if not status else ():
            status, said = run_bash(f"{line} --dry-run", checkout, environment)
            if status:
                return status, f"{line}\n{said}"
        return status, printed
    if words[:3] == ["python", "-m", "pytest"]:
        command = shlex.join([*words, "--collect-only"])
    if words[0] == "export":
        name, _, value = words[1].partition("=")
        environment[name] = value
    return run_bash(command, checkout, environment)


def list_runs(printed: str) -> list[str]:
    """The runs of Snakemake among the commands that `make` would give."""
    lines = [line for line in printed.splitlines() if "snakemake " in line]
    return [line for line in lines if "--lint" not in line and "--report " not in line
            and read_words(line)[0] == "snakemake"]  # fmt: skip


def run_bash(command: str, checkout: Checkout, environment: dict[str, str]) -> tuple[int, str]:
    """Exit status and end of the output."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], cwd=checkout.path, env=environment,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
    )  # fmt: skip
    return done.returncode, done.stdout[-3000:]


def make_dry(command: str) -> tuple[str, ...]:
    """A command's arguments with `--dry-run`; without `--sdm conda` where there is no conda."""
    words = read_words(command)[1:]
    if "--sdm" in words and not shutil.which("conda"):
        place = words.index("--sdm")
        words[place : place + 2] = []
    return *words, "--dry-run"


def run_dry(
    runs: list[tuple[str, ...]], checkout: Checkout
) -> dict[tuple[str, ...], tuple[int, str]]:
    """Exit status and end of the output of each dry run."""
    done = subprocess.run(
        [sys.executable, ROOT / "tests/helpers/runs.py", "2"], input=json.dumps(runs),
        cwd=checkout.path, env=checkout.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    ended = [(code, output[-3000:]) for code, output in json.loads(done.stdout)]
    return dict(zip(runs, ended, strict=True))


def place_results(built: Checkout) -> None:
    """Put what a small build made where the default run puts it, too, and where the README's
    `mine.yaml` has a user's own files; folders stand for the models of the scale files."""
    (built.path / ".cache").mkdir()
    for name, place in {"results": "results", "logs": "logs", "cache": ".cache/requests"}.items():
        (built.path / place).symlink_to(built.path / "out" / name)
    data = yaml.safe_load(list_files("README.md")["mine.yaml"])["data"]
    for name, file in FILES.items():
        (built.path / data[name]).parent.mkdir(exist_ok=True)
        shutil.copy(built.path / "results/world" / file, built.path / data[name])
    for scale in (ROOT / "config/scale").iterdir():
        (built.path / yaml.safe_load(scale.read_text())["train"]["base"]).mkdir(exist_ok=True)
