"""The supervisor of one model server or retriever, and of everything that server starts.

Invariant: the endpoint file says `ready` only for a server that has answered, and a server never
outlives its supervisor (see `process`), nor the supervisor its own parent.
"""

import logging
import re
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from searchtrain.core.errors import InputError, ServiceError
from searchtrain.serving import process
from searchtrain.serving.command import build_command, build_environment
from searchtrain.serving.endpoint import write_endpoint
from searchtrain.serving.gpu_lease import lease_gpus
from searchtrain.serving.port import HOST, answers, check_port_free, find_free_port
from searchtrain.serving.spec import read_spec

logger = logging.getLogger(__name__)

POLL_S = 0.1
"""Between two looks whether the server is ready."""
GIST_CHARS = 300
LOG_TAIL_BYTES = 1 << 18
FAULT = re.compile(r"\b[A-Z]\w*(?:Error|Exception)\b: \S.*")


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


def supervise(server: str, values: Any, endpoint: Path, log: Path) -> None:
    """Serve until a signal comes or the parent dies; `log` takes the server's output.

    `values`: a ServerSpec as JSON. Writes the endpoint file at once, and again when the server is
    ready or has failed. Raises ServiceError when it fails, InputError for a spec that cannot be
    served.
    """
    stop, parent, url = StopSignal(), process.Parent(), ""

    def is_told_to_stop() -> bool:
        return bool(stop.name) or parent.gone

    # A failure is written before the server is stopped, which may take a while.
    with ExitStack() as held:
        try:
            spec = read_spec(values, server)
            port = spec.port or find_free_port()
            url = f"http://{HOST}:{port}"
            write_endpoint(endpoint, server, "starting", url)
            check_port_free(port)
            lease = held.enter_context(lease_gpus(spec.gpus, server, is_told_to_stop))
            output = held.enter_context(log.open("ab"))
            start = output.tell()
            environment = build_environment(spec) | lease.variables
            # The watchdog holds the devices, too: they are free when the server is gone.
            group = held.enter_context(
                process.start_group(
                    server, build_command(spec, port), environment, output, spec.grace, lease.locks
                )
            )
            logger.info("%s: pid %d starts on %s", server, group.pid, url)
            began, ready = time.monotonic(), False
            while not is_told_to_stop():
                status = group.poll()
                if status is not None:
                    when = "stopped" if ready else "stopped before it was ready"
                    raise ServiceError(
                        f"{server} {when} ({describe_exit(status)}): {read_gist(log, start)};"
                        f" see {log}"
                    )
                if not ready and answers(port, spec.health):
                    ready = True
                    write_endpoint(endpoint, server, "ready", url)
                    logger.info("%s: ready after %.1f s", server, time.monotonic() - began)
                elif not ready and time.monotonic() - began > spec.ready_timeout:
                    raise ServiceError(
                        f"{server} did not answer {url} within {spec.ready_timeout:g} s:"
                        f" {read_gist(log, start)}; see {log} or raise ready_timeout"
                    )
                time.sleep(process.POLL_S if ready else POLL_S)
            logger.info("%s: stopping (%s)", server, stop.name or "the parent process is gone")
        except (ServiceError, InputError) as error:
            write_endpoint(endpoint, server, "failed", url, str(error))
            raise


def describe_exit(status: int) -> str:
    """An exit status in words."""
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


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
