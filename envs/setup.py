"""Make a virtual environment from pins: `python3.11 envs/setup.py .venv requirements.txt`.

By uv, which takes seconds, or by pip where uv cannot be had. Standard library only: nothing is
installed yet. Invariant: what is missing is said before anything is downloaded, and the file
`.ready` in the environment is there only when all of it is installed.
"""

import compileall
import os
import shutil
import subprocess
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

VERSION = (3, 11)
MEMORY = 7.5
"""GB that the run needs; a machine sold with 8 shows a little less."""
DISK = 7.0
"""GB that an environment takes, the package cache included."""
SMALL_DISK = 1.5
"""The same of one without torch."""
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
"""The CPU build of torch is on no other public index."""
BEAT = 3.0
"""Seconds after which a silent command gets a sign of life."""
SHARE = 20
"""Parts of the files to compile after each of which it is said how far it is."""


def main() -> None:
    folder, requirements = map(Path, sys.argv[1:])
    pins = {line.partition("==")[0]: line for line in requirements.read_text().split()}
    torch = pins.get("torch")
    faults = list_faults(folder, DISK if torch else SMALL_DISK)
    if faults:
        sys.exit("SearchTrain cannot be set up here:\n" + "\n".join(faults))
    began = time.monotonic()
    python = folder / "bin/python"
    run([sys.executable, "-m", "venv", "--clear", str(folder)], f"making {folder}", silent=True)
    commands = choose_installer(python, pins.get("uv", "uv"))
    if torch:
        try:
            run([*commands, torch], f"installing {torch}")
        except subprocess.CalledProcessError:
            run([*commands, torch, "--index-url", TORCH_INDEX], f"installing {torch} elsewhere")
    run([*commands, "--requirement", str(requirements)], f"installing {requirements}")
    # torchaudio is a CUDA build; without its compiled part it imports, and no more is needed.
    for library in folder.glob("lib/*/site-packages/torchaudio/lib/*.so"):
        library.unlink()
    compile_bytecode(folder)
    (folder / ".ready").touch()
    print(f"{folder} is ready after {time.monotonic() - began:.0f} s", flush=True)


def list_faults(folder: Path, disk: float) -> list[str]:
    """What this machine lacks, a line each, with the remedy."""
    faults = []
    if sys.version_info[:2] != VERSION:
        wanted, found = (".".join(map(str, each[:2])) for each in (VERSION, sys.version_info))
        faults.append(
            f"- Python {wanted} is needed, {sys.executable} is {found}:"
            f" make PYTHON=/path/to/python{wanted}"
        )
    if sys.platform != "linux":
        faults.append(f"- Linux is needed, this is {sys.platform}: take a container or WSL")
        return faults
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    if memory < MEMORY:
        faults.append(f"- {MEMORY:g} GB of memory are needed, this machine has {memory:.1f}")
    place = folder.absolute().parent
    free = shutil.disk_usage(place).free / 1e9
    if free < disk:
        faults.append(f"- {disk:g} GB of disk are needed, {place} has {free:.1f} free")
    return faults


def choose_installer(python: Path, pinned: str) -> list[str]:
    """The command that installs pins: their closure is complete, so nothing is resolved."""
    pip = [str(python), "-m", "pip"]
    uv = shutil.which("uv")
    if uv is None:
        try:
            command = [*pip, "install", "--quiet", "--no-deps", pinned]
            run(command, f"fetching {pinned}, which installs faster than pip", silent=True)
            uv = str(python.with_name("uv"))
        except subprocess.CalledProcessError:
            print("uv cannot be had: pip installs, which takes minutes", flush=True)
    if uv is None:
        return [*pip, "install", "--no-deps", "--no-compile", "--progress-bar", "off"]
    # uv does not read pip's configuration: where wheels lie besides the index is told to it.
    links = subprocess.run(
        [*pip, "config", "get", "global.find-links"], capture_output=True, text=True, check=False
    ).stdout.split()
    if links:
        os.environ.setdefault("UV_FIND_LINKS", ",".join(links))
    return [uv, "pip", "install", "--python", str(python), "--no-deps"]


def compile_bytecode(folder: Path) -> None:
    """Compile what was installed, on all cores: else every first import would wait for it."""
    files = sorted(folder.glob("lib/*/site-packages/**/*.py"))
    step = max(1, len(files) // SHARE)
    # Packages have files with faults that nobody imports.
    with ProcessPoolExecutor(initializer=partial(warnings.simplefilter, "ignore")) as pool:
        compiled = pool.map(partial(compileall.compile_file, quiet=2), files, chunksize=20)
        for done, _ in enumerate(compiled, 1):
            if done % step == 0:
                print(f"compiled {done:,} of {len(files):,} files", flush=True)


def run(command: list[str], said: str, silent: bool = False) -> None:
    """Run one command, its output shown; `silent`: it has none, so that signs of life are shown.

    Raises CalledProcessError when it fails.
    """
    print(said, flush=True)
    with subprocess.Popen(command) as process:
        while silent and process.poll() is None:
            try:
                process.wait(BEAT)
            except subprocess.TimeoutExpired:
                print("…", flush=True)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


if __name__ == "__main__":
    main()
