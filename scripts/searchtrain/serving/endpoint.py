"""Where a server is: a URL, or the endpoint file that `scripts/serve.py` keeps.

    {"state": "starting"|"ready"|"failed", "url": str, "reason": str|null, "pid": int,
     "server": str}

`pid` is the supervisor's. Invariant: a caller gets the URL of a server that was ready, or a
ServiceError that says why not; it never waits for one that has failed or is gone.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from searchtrain.core.errors import ServiceError
from searchtrain.core.files import write_json

POLL_S = 0.1


def wait_ready(endpoint: str, timeout: float) -> str:
    """Return the base URL of a server, waiting up to `timeout` seconds until it is ready.

    `endpoint`: a URL (returned without a slash at its end, nothing is asked of it) or the path of
    an endpoint file. Raises ServiceError naming the server, the file, the reason and the remedy.
    """
    if endpoint.startswith(("http://", "https://")):
        return endpoint.rstrip("/")
    path, deadline = Path(endpoint), time.monotonic() + timeout
    while True:
        record = read_endpoint(path)
        if record is not None:
            if record["state"] == "failed":
                raise ServiceError(f"{path}: {record['server']} failed: {record['reason']}")
            if not is_alive(record["pid"]):
                raise ServiceError(
                    f"{path}: the supervisor of {record['server']} (pid {record['pid']}) is gone;"
                    " see its log and run again"
                )
            if record["state"] == "ready":
                return str(record["url"])
        if time.monotonic() >= deadline:
            what = f"{record['server']} is still starting" if record else "no such file"
            raise ServiceError(
                f"{path}: {what} after {timeout:g} s; see the server's log or raise ready_timeout"
            )
        time.sleep(POLL_S)


def read_endpoint(path: Path) -> dict[str, Any] | None:
    """Read an endpoint file, None while it is not there; raises ServiceError if it is not one."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or not {"state", "url", "pid", "server"} <= set(record):
            raise ValueError("no state, url, pid and server")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ServiceError(
            f"{path}: not an endpoint file ({error}); give a URL or a file that serve.py wrote"
        ) from None
    return record


def write_endpoint(
    path: Path, server: str, state: str, url: str, reason: str | None = None
) -> None:
    """Write an endpoint file for the server that this process supervises, atomically."""
    record = {"state": state, "url": url, "reason": reason, "pid": os.getpid(), "server": server}
    write_json(record, path)


def is_alive(pid: int) -> bool:
    """Whether a process with this id exists on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
