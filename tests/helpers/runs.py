"""Run Snakemake many times in forks of one process, which has imported it once.

Reads a JSON list of argument lists, writes a JSON list of [exit status, output]. Its own argument
is how many run at a time.
"""

import importlib
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from snakemake import cli


def run(arguments: list[str], output: Path) -> int:
    """One run; returns its exit status."""
    child = os.fork()
    if child == 0:
        file = os.open(output, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, 1)
        os.dup2(file, 2)
        try:
            cli.main(arguments)
        except SystemExit as stop:
            os._exit(stop.code if isinstance(stop.code, int) else 1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def warm_up() -> None:
    """Do once what every run of a checkout does: import its library and digest its code."""
    sys.path.insert(0, "scripts")
    code = importlib.import_module("searchtrain.workflow.code")
    stages = importlib.import_module("searchtrain.workflow.stages").STAGES
    importlib.import_module("searchtrain.workflow.project")
    for stage in stages.values():
        code.digest_modules(stage.code)


def main() -> None:
    """Run them all, in their order."""
    runs = json.load(sys.stdin)
    if Path("scripts/searchtrain").exists():
        warm_up()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, str(number)) for number in range(len(runs))]
        with ThreadPoolExecutor(int(sys.argv[1])) as pool:
            codes = list(pool.map(run, runs, files))
        json.dump(
            [[code, file.read_text()] for code, file in zip(codes, files, strict=True)], sys.stdout
        )


if __name__ == "__main__":
    main()
