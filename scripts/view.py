"""Open a run in a browser (`make view`): Inspect AI's viewer of its transcripts and, beside it,
full-text search by Datasette, both on this machine's loopback interface, until Ctrl-C."""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from searchtrain.core import cli
from searchtrain.core.errors import InputError, ServiceError
from searchtrain.core.files import write_json
from searchtrain.export.search_table import TABLE, describe_search
from searchtrain.serving.port import HOST, answers, check_port_free, find_free_port
from searchtrain.serving.process import Group, start_group
from searchtrain.serving.supervisor import StopSignal

PORT = 7575
"""Inspect's own; the search has the next."""
START_S = 60.0
GRACE_S = 5.0
POLL_S = 0.2


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument("transcripts", type=Path, help="the folder, results/transcripts")
    parser.add_argument("--port", type=int, default=PORT, help="and the next; else free ones")
    args = parser.parse()
    folder = args.transcripts.absolute()
    if not (folder / TABLE).is_file():
        raise InputError(f"{folder / TABLE}: no such file; `make view` writes it")
    ports = [choose_port(args.port), choose_port(args.port + 1)]
    urls = [f"http://{HOST}:{port}/" for port in ports]
    stop = StopSignal()
    with ExitStack() as held:
        scratch = Path(held.enter_context(tempfile.TemporaryDirectory()))
        write_json(describe_search(urls[0]), scratch / "metadata.json")
        commands = {
            "inspect": [
                str(Path(sys.executable).with_name("inspect")), "view", "start",
                "--log-dir", str(folder), "--host", HOST, "--port", str(ports[0]),
                "--no-trust-content",
            ],
            "datasette": [
                sys.executable, "-m", "datasette", "serve", "--immutable", str(folder / TABLE),
                "--host", HOST, "--port", str(ports[1]),
                "--metadata", str(scratch / "metadata.json"),
                "--setting", "sql_time_limit_ms", "10000", "--setting", "num_sql_threads", "1",
            ],
        }  # fmt: skip
        groups = {
            name: held.enter_context(start(name, command, scratch, held))
            for name, command in commands.items()
        }
        wait_ready(groups, ports, scratch, stop)
        if not stop.name:
            said = ["Transcripts:    {}", "Search in them: {}search/words", "Ctrl-C ends both."]
            print("\n".join(said).format(*urls), flush=True)
        while not stop.name:
            check(groups, scratch)
            time.sleep(POLL_S)


def choose_port(wanted: int) -> int:
    """The port if it is free, else one that is."""
    try:
        check_port_free(wanted)
    except ServiceError:
        return find_free_port()
    return wanted


def start(
    name: str, command: Sequence[str], scratch: Path, held: ExitStack
) -> AbstractContextManager[Group]:
    """A server that ends with this process; `scratch` takes what it says."""
    output = held.enter_context((scratch / f"{name}.log").open("wb"))
    return start_group(name, command, dict(os.environ), output, GRACE_S)


def wait_ready(
    groups: dict[str, Group], ports: Sequence[int], scratch: Path, stop: StopSignal
) -> None:
    """Wait until both answer; raises ServiceError for one that does not."""
    deadline = time.monotonic() + START_S
    while not all(answers(port, "/") for port in ports) and not stop.name:
        check(groups, scratch)
        if time.monotonic() > deadline:
            raise ServiceError(f"no answer after {START_S:.0f} s; {tell_end(scratch)}")
        time.sleep(POLL_S)


def check(groups: dict[str, Group], scratch: Path) -> None:
    """Raise ServiceError for a server that has ended."""
    for name, group in groups.items():
        if (status := group.poll()) is not None:
            raise ServiceError(f"{name} ended with status {status}; {tell_end(scratch)}")


def tell_end(scratch: Path) -> str:
    """The last line of every server's log."""
    lines = [(file.stem, file.read_text(errors="replace").strip().splitlines()[-1:])
             for file in sorted(scratch.glob("*.log"))]  # fmt: skip
    return "; ".join(f"{name} said: {' '.join(said)}" for name, said in lines)


if __name__ == "__main__":
    cli.run(main)
