"""A server of a test's own, under the workflow's supervisor."""

import contextlib
import json
import subprocess
import sys

from helpers.checkout import ROOT
from helpers.processes import wait_until
from searchtrain.serving.endpoint import wait_ready

READY_S = 300


@contextlib.contextmanager
def serve(folder, spec):
    """Serve until the block ends; gives the base URL and the file that holds the server's log."""
    endpoint, log = folder / "server.json", folder / "server.log"
    command = [sys.executable, str(ROOT / "scripts/serve.py"), "--server", "student"]
    command += ["--spec", json.dumps(spec), "--endpoint", str(endpoint), "--log", str(log)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: endpoint.exists() or process.poll() is not None)
        yield wait_ready(str(endpoint), READY_S), log
    finally:
        process.terminate()
        process.wait()
        endpoint.unlink(missing_ok=True)
