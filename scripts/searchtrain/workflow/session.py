"""The servers of one stage for a person instead of a rule (`make ask`).

Invariant: what is started here ends with the block, and with this process however that ends
(`serving.supervisor`).
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from searchtrain.config import Config
from searchtrain.core.errors import InputError
from searchtrain.workflow.code import LIBRARY
from searchtrain.workflow.servers import describe_launch, find_server, list_served_files
from searchtrain.workflow.stages import list_servers


@contextmanager
def start_servers(
    config: Config, stage: str, results: Path, logs: Path
) -> Iterator[dict[str, str]]:
    """Start what a stage asks and the config has no URL for; gives server -> URL or endpoint file.

    `results`: where the checkpoint, the index and the corpus are; `logs`: where each server's log
    goes, as `ask-<server>.log`. Nothing is waited for. Raises InputError for a file that is not
    there.
    """
    shared = config.pathvars.get("shared", "<results>").replace("<results>", str(results))
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="searchtrain-")))
        addresses: dict[str, str] = {}
        for name in list_servers(config, stage):
            server = find_server(config, name)
            if server.section.endpoint:
                addresses[name] = server.section.endpoint
                continue
            files = [
                file.replace("<results>", str(results)).replace("<shared>", shared)
                for file in list_served_files(config, server.name)
            ]
            for file in files:
                check_built(file, server.key)
            addresses[name] = str(folder / f"{server.name}.json")
            spec = describe_launch(config, stage, server.name, files)
            log = logs / f"ask-{server.name}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(_serve(server.name, spec, addresses[name], log))
        yield addresses


def check_built(file: str | Path, key: str) -> None:
    """Raise InputError for a file or folder that no run has made."""
    if not Path(file).exists():
        raise InputError(
            f"{file}: not there, and {key} has no endpoint; build it (`make`), or name the folder"
            " of a finished run with --results and its settings with --config"
        )


@contextmanager
def _serve(name: str, spec: str, endpoint: str, log: Path) -> Iterator[None]:
    """A supervisor and its server while the block runs."""
    command = [sys.executable, str(LIBRARY.parent / "serve.py"), "--server", name]
    command += ["--spec", spec, "--endpoint", endpoint, "--log", str(log)]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()
