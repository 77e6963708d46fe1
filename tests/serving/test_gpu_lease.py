"""GPUs are taken by one server at a time; a machine without any does not notice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from searchtrain.core.errors import ServiceError
from searchtrain.core.files import read_json
from searchtrain.serving import gpu_lease
from searchtrain.serving.endpoint import read_endpoint
from searchtrain.serving.gpu_lease import lease_gpus

SERVE = str(Path(__file__).parents[2] / "scripts" / "serve.py")
SERVER = """
import http.server, os, pathlib, sys
pathlib.Path(sys.argv[2]).write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "none"))
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine of its own, without GPUs; returns how to give it some."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def install(count):
        tool = tmp_path / "bin/nvidia-smi"
        tool.parent.mkdir(exist_ok=True)
        lines = "\n".join(f"GPU {n}: NVIDIA H200 (UUID: GPU-{n}{n})" for n in range(count))
        tool.write_text(f"#!/bin/sh\nprintf '{lines}\n'\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")

    return install


@pytest.fixture
def serve(tmp_path):
    """Start a supervisor whose server asks for GPUs; returns its endpoint file and process."""
    started = []

    def start(name, gpus):
        endpoint, seen = tmp_path / f"{name}.json", tmp_path / f"{name}.seen"
        spec = {
            "serve": "command", "gpus": gpus, "grace": 0.3,
            "command": [sys.executable, "-c", SERVER, "{port}", str(seen)],
        }  # fmt: skip
        process = subprocess.Popen(
            [
                *(sys.executable, SERVE, "--server", name, "--spec", json.dumps(spec)),
                *("--endpoint", str(endpoint), "--log", str(tmp_path / f"{name}.log")),
            ]
        )
        started.append(process)
        return endpoint, seen, process

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=60)


def wait_for(endpoint, state):
    deadline = time.monotonic() + 60
    while (read_endpoint(endpoint) or {"state": ""})["state"] != state:
        assert time.monotonic() < deadline, read_endpoint(endpoint)
        time.sleep(0.05)


def test_servers_get_different_devices_and_give_them_back(machine, serve):
    machine(4)
    places = [serve("student", 2), serve("teacher", 2)]
    for endpoint, _, _ in places:
        wait_for(endpoint, "ready")
    # They start together, so which takes which is chance; no device is taken twice.
    taken = [seen.read_text().split(",") for _, seen, _ in places]
    assert [len(devices) for devices in taken] == [2, 2]
    assert sorted(each for devices in taken for each in devices) == ["0", "1", "2", "3"]
    late, seen, _ = serve("judge", 1)
    time.sleep(1)
    assert read_endpoint(late)["state"] == "starting" and not seen.exists()
    _, freed, process = places[0]
    process.send_signal(signal.SIGKILL)
    wait_for(late, "ready")
    assert seen.read_text() == freed.read_text()[0]


@pytest.mark.parametrize(
    ("visible", "asked", "got"), [("3,5,7", 2, "3,5"), ("GPU-aa,MIG-b/1", 1, "GPU-aa")]
)
def test_only_what_this_process_may_see_is_taken(monkeypatch, visible, asked, got):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with lease_gpus(asked, "train") as leased:
        assert leased.variables == {"CUDA_VISIBLE_DEVICES": got}


def test_jobs_of_slurm_may_have_devices_of_the_same_name(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(gpu_lease, "WAIT_S", 0.1)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with lease_gpus(1, "train"):
        monkeypatch.setenv("SLURM_JOB_ID", "8")
        with lease_gpus(1, "train") as leased:
            assert leased.variables == {"CUDA_VISIBLE_DEVICES": "0"}
            with (
                pytest.raises(ServiceError, match=r"asks for 1 GPU.* 1 that can be seen here 0"),
                lease_gpus(1, "train"),
            ):
                pass


def test_who_asks_for_none_gets_nothing_and_looks_at_nothing(serve, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    endpoint, seen, _ = serve("student", 0)
    wait_for(endpoint, "ready")
    assert seen.read_text() == "1,2"
    assert not list(tmp_path.glob("searchtrain-*"))


@pytest.mark.parametrize("visible", [None, "", "-1", "0"])
def test_fewer_gpus_than_asked(serve, monkeypatch, machine, visible):
    machine(0)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    endpoint, seen, process = serve("student", 2)
    wait_for(endpoint, "failed")
    count = 1 if visible == "0" else 0
    reason = read_json(endpoint)["reason"]
    assert reason.startswith(f"student asks for 2 GPU(s), and {count} can be seen here")
    assert "take a machine or partition with more" in reason
    assert process.wait(timeout=60) == 1 and not seen.exists()
