"""Stop a process group when whoever holds the other end of standard input is gone.

    python -I watchdog.py GRACE      reads the group's id from the first line, then waits for EOF

The kernel closes a pipe however its owner ends, `kill -9` included, on Linux and on macOS.
Invariant: imports nothing but the standard library and ignores the signals that end its owner.
"""

import os
import signal
import subprocess
import sys
import time


def main() -> None:
    """Wait for the owner's end, then stop the group."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    group = sys.stdin.readline().strip()
    sys.stdin.read()
    if group:
        stop_group(int(group), grace=float(sys.argv[1]))


def stop_group(group: int, grace: float, leader: "subprocess.Popen[bytes] | None" = None) -> None:
    """Send a process group SIGTERM, and SIGKILL to what is left after `grace` seconds.

    `leader`: the group's first process if it is a child of this one, to be reaped.
    """
    deadline = time.monotonic() + grace
    alive = send(group, signal.SIGTERM)
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        if leader is not None:
            leader.poll()
        alive = send(group, 0)
    if alive:
        send(group, signal.SIGKILL)
    if leader is not None:
        leader.wait()


def send(group: int, number: int) -> bool:
    """Send a signal to a process group; False when nobody is in it."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        # macOS denies permission for a group of which only zombies are left.
        return False
    return True


if __name__ == "__main__":
    main()
