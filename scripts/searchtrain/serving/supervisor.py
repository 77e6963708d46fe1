"""The supervisor of one model server or retriever, and of everything that server starts.

Invariant: whatever ends the supervisor (a signal, its parent's death, `kill -9`), the server and
its descendants end too, so that no GPU and no port stays held. Three things see to that:

- the supervisor stops the server's process group when it is told to stop, and looks five times a
  second whether its own parent is still there;
- a watchdog process holds the read end of a pipe whose write end only the supervisor has; when
  the kernel closes it, the watchdog stops the group (vLLM's engine outlives its API server);
- on Linux the server itself gets SIGTERM when the supervisor dies before the watchdog knows it.

Standard library only: it runs in the environment of whatever it serves.
"""

import ctypes
import http.client
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from searchtrain.config.settings import check_range
from searchtrain.core.errors import InputError, ServiceError
from searchtrain.serving import devices, watchdog
from searchtrain.serving.endpoint import write_endpoint
from searchtrain.serving.model_folder import check_model_folder

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
POLL_S = 0.1
PARENT_POLL_S = 0.2
HEALTH_TIMEOUT_S = 5.0
GIST_CHARS = 300
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
LOG_TAIL_BYTES = 1 << 18
FAULT = re.compile(r"\b[A-Z]\w*(?:Error|Exception)\b: \S.*")


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What to serve; which of the later fields count depends on `serve`."""

    serve: str
    """`retriever`, `vllm`, `scripted` (the laptop world's teacher), `web` (the laptop's own web) or
    `command`."""
    port: int | None = None
    """None takes a free one."""
    ready_timeout: float = 300
    """Seconds until the server must answer /health."""
    grace: float = 10
    """Seconds between SIGTERM and SIGKILL."""
    env: dict = field(default_factory=dict)
    """Environment variables of the server; null takes one away."""
    index: str | None = None
    corpus: str | None = None
    model: str | None = None
    """vllm: a folder or a hub name. scripted: the name it answers to."""
    served_model_name: str | None = None
    args: dict = field(default_factory=dict)
    """vllm: its engine arguments, `max_model_len: 2048` for `--max-model-len 2048`. retriever: the
    options of its program but for index, corpus and port."""
    rates: dict = field(default_factory=dict)
    ledger: str | None = None
    gpus: int = 0
    """Devices that the server gets for itself; 0 leaves its environment as it is."""
    command: list | None = None
    """command: the program and its arguments; `{port}` in one stands for the port."""
    health: str = "/health"
    """The path that answers 200 once the server is ready."""


class StopSignal:
    """Remembers that a signal came: a handler must not do more than that."""

    def __init__(self) -> None:
        self.name = ""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # nohup's SIG_IGN for SIGHUP is left alone.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:
        self.name = signal.Signals(number).name


def supervise(server: str, spec: ServerSpec, endpoint: Path, log: Path) -> None:
    """Serve until a signal comes or the parent dies; `log` takes the server's output.

    Writes the endpoint file at once, and again when the server is ready or has failed. Raises
    ServiceError when it fails, InputError for a spec that can not be served.
    """
    stop, parent = StopSignal(), os.getppid()
    port = spec.port or find_free_port()
    url = f"http://{HOST}:{port}"
    write_endpoint(endpoint, server, "starting", url)
    process: subprocess.Popen[bytes] | None = None
    guard: subprocess.Popen[bytes] | None = None
    held = ExitStack()
    try:
        check_spec(spec, server)
        check_port_free(port)
        leased = held.enter_context(
            devices.lease(spec.gpus, server, lambda: bool(stop.name) or os.getppid() != parent)
        )
        # The watchdog holds the devices, too: they are free when the server is gone.
        guard = watchdog.start_watchdog(spec.grace, leased.locks)
        start = log.stat().st_size if log.exists() else 0
        process = start_server(spec, port, log, leased.variables)
        watchdog.inform_watchdog(guard, process.pid)
        logger.info("%s: pid %d starts on %s", server, process.pid, url)
        began, ready, next_look = time.monotonic(), False, 0.0
        while not stop.name and os.getppid() == parent:
            status = process.poll()
            if status is not None:
                when = "stopped" if ready else "stopped before it was ready"
                raise ServiceError(
                    f"{server} {when} ({describe_exit(status)}): {read_gist(log, start)}; see {log}"
                )
            if guard.poll() is not None:
                raise ServiceError(f"the watchdog of {server} is gone; run again")
            if not ready and time.monotonic() >= next_look:
                ready = answers(port, spec.health)
                if ready:
                    write_endpoint(endpoint, server, "ready", url)
                    logger.info("%s: ready after %.1f s", server, time.monotonic() - began)
                elif time.monotonic() - began > spec.ready_timeout:
                    raise ServiceError(
                        f"{server} did not answer {url} within {spec.ready_timeout:g} s:"
                        f" {read_gist(log, start)}; see {log} or raise ready_timeout"
                    )
                next_look = time.monotonic() + POLL_S
            time.sleep(PARENT_POLL_S if ready else POLL_S)
        logger.info("%s: stopping (%s)", server, stop.name or "the parent process is gone")
    except (ServiceError, InputError) as error:
        write_endpoint(endpoint, server, "failed", url, str(error))
        raise
    finally:
        if process is not None:
            watchdog.stop_group(process.pid, spec.grace, process)
        if guard is not None:
            guard.communicate()
        held.close()


def check_spec(spec: ServerSpec, server: str) -> None:
    """Raise InputError for a field that is missing or out of range."""
    needs = {
        "retriever": ("index", "corpus"),
        "vllm": ("model",),
        "scripted": ("model", "ledger"),
        "web": ("index", "corpus", "ledger"),
        "command": ("command",),
    }
    if spec.serve not in needs:
        raise InputError(
            f"{server}: serve: {spec.serve!r} is not known; use one of {', '.join(sorted(needs))}"
        )
    for name in needs[spec.serve]:
        if not getattr(spec, name):
            raise InputError(f"{server}: {name}: missing; serve {spec.serve} needs it")
    if spec.serve == "vllm" and Path(str(spec.model)).is_dir():
        check_model_folder(Path(str(spec.model)), server)
    check_range(spec.ready_timeout, 0, f"{server}: ready_timeout")
    check_range(spec.grace, 0, f"{server}: grace")
    check_range(spec.gpus, 0, f"{server}: gpus")
    if spec.port is not None and not 1 <= spec.port <= 65_535:
        raise InputError(f"{server}: port: {spec.port} is not a port; use 1 to 65535, or null")


def build_command(spec: ServerSpec, port: int) -> list[str]:
    """The server's command line."""
    at = ["--host", HOST, "--port", str(port)]
    python = [sys.executable, "-m"]
    if spec.serve == "command":
        return [str(part).replace("{port}", str(port)) for part in spec.command or ()]
    paths = ["--index", str(spec.index), "--corpus", str(spec.corpus)]
    options = ["--rates", json.dumps(spec.rates), "--ledger", str(spec.ledger)]
    if spec.serve == "retriever":
        return [*python, "searchtrain.search.server", *paths, *render_arguments(spec.args), *at]
    if spec.serve == "web":
        return [*python, "searchtrain.demo.web", *paths, *options, *at]
    if spec.serve == "scripted":
        model = ["--model", str(spec.model), "--port", str(port)]
        return [*python, "searchtrain.demo.endpoint", *model, *options]
    name = ["--served-model-name", spec.served_model_name] if spec.served_model_name else []
    # The module, not the `vllm` command: that one fails in the CPU build.
    return [
        *python,
        "vllm.entrypoints.openai.api_server",
        *("--model", str(spec.model)),
        *name,
        *at,
        *render_arguments(spec.args),
    ]


def render_arguments(args: Mapping[str, Any]) -> list[str]:
    """Turn `{"max_model_len": 2048, "enforce_eager": true}` into command-line arguments.

    True and false give `--name` and `--no-name`, null nothing, a list several values, an object
    JSON.
    """
    rendered: list[str] = []
    for name, value in args.items():
        option = name.replace("_", "-")
        if value is None:
            continue
        if isinstance(value, bool):
            rendered.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, list):
            rendered += [f"--{option}", *map(str, value)]
        elif isinstance(value, Mapping):
            rendered += [f"--{option}", json.dumps(value)]
        else:
            rendered += [f"--{option}", str(value)]
    return rendered


def build_environment(spec: ServerSpec) -> dict[str, str]:
    """The server's environment: this one, this library on the path, defaults, then the spec's."""
    library = str(Path(__file__).resolve().parents[2])
    # Snakemake sets thread counts (0 for `threads: 0`) for every numerical library.
    inherited = {name: value for name, value in os.environ.items() if "_THREADS" not in name}
    environment = {
        **inherited,
        "PYTHONPATH": os.pathsep.join(filter(None, (library, os.environ.get("PYTHONPATH")))),
        "PYTHONUNBUFFERED": "1",
        # Two threads on shared cores are far slower than one.
        "OMP_NUM_THREADS": "1",
    }
    if spec.serve == "vllm":
        environment |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
        if Path(str(spec.model)).is_dir():
            environment["HF_HUB_OFFLINE"] = "1"
    for name, value in spec.env.items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = str(value)
    return environment


def start_server(
    spec: ServerSpec, port: int, log: Path, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start the server as leader of its own process group, its output appended to `log`.

    `variables` are set in its environment besides what the spec says.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = build_command(spec, port)
    with log.open("ab") as output:
        try:
            return subprocess.Popen(
                command,
                env={**build_environment(spec), **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=partial(die_with_parent, os.getpid()),
            )
        except OSError as error:
            raise ServiceError(
                f"{command[0]} can not be started ({error.strerror}); check the command"
            ) from None


def die_with_parent(parent: int) -> None:
    """Ask the kernel, in a new child, for SIGTERM when its parent dies.

    Linux ties this to the thread that made the child; the supervisor has one. It covers the
    moment before the watchdog knows the group; elsewhere there is only the watchdog.
    """
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def check_port_free(port: int) -> None:
    """Raise ServiceError when something listens on the port already."""
    with socket.socket() as probe:
        probe.settimeout(1)
        taken = probe.connect_ex((HOST, port)) == 0
    with socket.socket() as probe:
        # As servers do: a port whose last connections are only closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            taken = True
            reason = error.strerror or "bind failed"
        else:
            reason = "something answers there"
    if taken:
        raise ServiceError(
            f"port {port} is already in use ({reason}): stop that process or set another port"
        )


def find_free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def answers(port: int, path: str) -> bool:
    """Whether the server answers 200 on its health path."""
    connection = http.client.HTTPConnection(HOST, port, timeout=HEALTH_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def describe_exit(status: int) -> str:
    """An exit status in words."""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def read_gist(log: Path, start: int) -> str:
    """What a server said since byte `start` of its log: its first and last exception, or last line.

    The first is the cause when one process of several fails (vLLM); warnings quote exceptions too.
    """
    with log.open("rb") as stream:
        stream.seek(max(start, log.stat().st_size - LOG_TAIL_BYTES))
        text = stream.read().decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [FAULT.search(line) for line in lines if " WARNING " not in line]
    faults = [match[0] for match in found if match]
    chosen = dict.fromkeys((faults[0], faults[-1]) if faults else lines[-1:])
    return " ... ".join(line[:GIST_CHARS] for line in chosen) or "it logged nothing"
