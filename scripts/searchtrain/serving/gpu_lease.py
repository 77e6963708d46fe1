"""The GPUs of this machine, each taken by one server or trainer at a time.

Snakemake counts GPUs and does not pick them; Slurm picks them for a whole group of jobs. Invariant:
no two leases that hold at the same time share a device, and the kernel ends a lease with the last
process that holds its locks.

Standard library only: it runs in the environment of whatever is started.
"""

import fcntl
import logging
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import IO

from searchtrain.core.errors import Interrupted, ServiceError

logger = logging.getLogger(__name__)

VARIABLE = "CUDA_VISIBLE_DEVICES"
WAIT_S = 60.0
"""For a device whose last server is still ending."""
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Lease:
    """Devices that are this process's own."""

    variables: dict[str, str]
    """What the environment of a process that is to use them needs."""
    locks: tuple[int, ...]
    """File descriptors; a process that inherits them prolongs the lease."""


@contextmanager
def lease_gpus(
    count: int, what: str, stopped: Callable[[], bool] = lambda: False
) -> Iterator[Lease]:
    """Hold the `count` lowest free ones of the devices that this process may see.

    `what` asks for them, in messages. With a count of 0 nothing is looked at and nothing changes.
    Raises ServiceError when there are too few, or still too few free ones after a minute, and
    Interrupted when `stopped` says so meanwhile.
    """
    with ExitStack() as stack:
        if count == 0:
            yield Lease({}, ())
            return
        visible = list_devices()
        if count > len(visible):
            raise ServiceError(
                f"{what} asks for {count} GPU(s), and {len(visible)} can be seen here"
                f" ({VARIABLE}={os.environ.get(VARIABLE, 'not set')}): ask for fewer"
                " (gpu, tensor-parallel-size) or take a machine or partition with more"
            )
        folder = find_lock_folder()
        taken: dict[str, IO[bytes]] = {}
        deadline = time.monotonic() + WAIT_S
        while len(taken) < count:
            for device in visible:
                if len(taken) < count and device not in taken:
                    file = try_lock(folder / re.sub(r"[^\w-]", "_", device))
                    if file is not None:
                        taken[device] = stack.enter_context(file)
            if len(taken) < count:
                if stopped():
                    raise Interrupted(what)
                if time.monotonic() > deadline:
                    raise ServiceError(
                        f"{what} asks for {count} GPU(s); of the {len(visible)} that can be seen"
                        f" here {len(taken)} are free: end what uses the others (their locks are in"
                        f" {folder}), or run fewer jobs at a time (profile: resources: gpu)"
                    )
                time.sleep(POLL_S)
        chosen = ",".join(device for device in visible if device in taken)
        logger.info("%s takes GPU %s of %s", what, chosen, ",".join(visible))
        yield Lease({VARIABLE: chosen}, tuple(file.fileno() for file in taken.values()))


def list_devices() -> list[str]:
    """The devices that CUDA would show a process started now, by the names that it takes."""
    given = os.environ.get(VARIABLE)
    if given is None:
        if shutil.which("nvidia-smi") is None:
            return []
        ended = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
        return re.findall(r"^GPU (\d+):", ended.stdout, re.MULTILINE)
    # CUDA ignores what follows one that is none, too.
    none = ("", "-1", "NoDevFiles")
    return list(takewhile(lambda name: name not in none, map(str.strip, given.split(","))))


def find_lock_folder() -> Path:
    """Where this user's locks are on this machine.

    Slurm names the devices of each of its jobs from 0 on, and gives no device to two of them.
    """
    job = os.environ.get("SLURM_JOB_ID", "")
    name = f"searchtrain-{os.getuid()}" + (f"-{job}" if job else "")
    folder = Path(tempfile.gettempdir()) / name / "gpu"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def try_lock(path: Path) -> IO[bytes] | None:
    """Lock a file without waiting; None when somebody else has."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file
    except BlockingIOError:
        file.close()
        return None
