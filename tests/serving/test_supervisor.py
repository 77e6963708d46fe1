"""The supervisor with real processes: whatever ends it, nothing of its server is left.

The server here is a small program that starts a child which ignores SIGTERM, as bad as an engine
that hangs can be.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from helpers.processes import wait_until
from searchtrain.config import Index
from searchtrain.core.errors import InputError, ServiceError
from searchtrain.search.index import build_index
from searchtrain.serving.command import build_command, build_environment, render_arguments
from searchtrain.serving.endpoint import read_endpoint, wait_ready, write_endpoint
from searchtrain.serving.port import find_free_port
from searchtrain.serving.spec import ServerSpec, check_spec, read_spec
from searchtrain.serving.supervisor import read_gist

SERVE = str(Path(__file__).parents[2] / "scripts" / "serve.py")
DEADLINE_S = 30

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
SERVER = f"""
import http.server, os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}])
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        threads = os.environ["OMP_NUM_THREADS"]
        self.wfile.write(f"{{os.getpid()}} {{child.pid}} {{threads}}".encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""
SPEC = {
    "serve": "command",
    "command": [sys.executable, "-c", SERVER, "{port}"],
    "grace": 0.3,
    "ready_timeout": DEADLINE_S,
}
PARENT = "import subprocess, sys; subprocess.run(sys.argv[1:])"


class Supervisor:
    """A running `scripts/serve.py`, and what it started."""

    def __init__(self, folder, spec, before=()):
        self.endpoint, self.log = folder / "server.json", folder / "server.log"
        options = ["--endpoint", str(self.endpoint), "--log", str(self.log)]
        # Snakemake gives a job with `threads: 0` this value.
        environment = {**os.environ, "OMP_NUM_THREADS": "0"}
        self.process = subprocess.Popen(
            [
                *before,
                sys.executable,
                SERVE,
                "--server",
                "demo",
                "--spec",
                json.dumps(spec),
                *options,
            ],
            env=environment,
            stderr=subprocess.DEVNULL,
        )

    def wait_until_ready(self):
        """Wait for the server; its processes: supervisor, watchdog, server and its child."""
        wait_until(self.endpoint.exists)
        self.url = wait_ready(str(self.endpoint), DEADLINE_S)
        self.pid = read_endpoint(self.endpoint)["pid"]
        family = psutil.Process(self.pid).children(recursive=True)
        assert len(family) == 3
        return [psutil.Process(self.pid), *family]

    def record(self):
        """The endpoint file."""
        return json.loads(self.endpoint.read_text())


class Supervisors:
    """Starts supervisors for one test and ends those that it leaves running."""

    def __init__(self, folder):
        self.folder, self.started = folder, []

    def __call__(self, spec, before=()):
        self.started.append(Supervisor(self.folder, {**SPEC, **spec}, before))
        return self.started[-1]

    def end(self):
        for supervisor in self.started:
            if supervisor.process.poll() is None:
                supervisor.process.terminate()
                supervisor.process.wait(DEADLINE_S)


@pytest.fixture
def supervise(tmp_path):
    """Start a supervisor with a spec that differs from SPEC in what is given."""
    supervisors = Supervisors(tmp_path)
    yield supervisors
    supervisors.end()


def is_gone(process):
    """Whether a process has ended; a zombie that nobody reaps has."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def find_watchdog(processes):
    """The watchdog among a supervisor's processes."""
    return next(p for p in processes if any(x.endswith("watchdog.py") for x in p.cmdline()))


def all_gone(processes):
    return all(is_gone(process) for process in processes)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0_and_nothing_is_left(supervise, number):
    supervisor = supervise({})
    processes = supervisor.wait_until_ready()
    supervisor.process.send_signal(number)
    assert supervisor.process.wait(DEADLINE_S) == 0
    assert all_gone(processes)
    assert supervisor.record()["state"] == "ready"


def test_a_signal_during_the_start_ends_it(supervise):
    supervisor = supervise({"health": "/never", "command": [sys.executable, "-c", STUBBORN]})
    wait_until(
        lambda: "starts on" in supervisor.log.read_text() if supervisor.log.exists() else False
    )
    family = psutil.Process(supervisor.process.pid).children(recursive=True)
    supervisor.process.terminate()
    assert supervisor.process.wait(DEADLINE_S) == 0
    assert len(family) == 2 and all_gone(family)


def test_kill_9_of_the_supervisor_leaves_nothing(supervise):
    supervisor = supervise({})
    processes = supervisor.wait_until_ready()
    supervisor.process.kill()
    supervisor.process.wait()
    wait_until(lambda: all_gone(processes))
    with pytest.raises(ServiceError, match=r"the supervisor of demo \(pid \d+\) is gone"):
        wait_ready(str(supervisor.endpoint), 0)


def test_kill_9_of_the_parent_leaves_nothing(supervise):
    supervisor = supervise({}, before=[sys.executable, "-c", PARENT])
    processes = supervisor.wait_until_ready()
    assert supervisor.pid != supervisor.process.pid
    supervisor.process.kill()
    supervisor.process.wait()
    wait_until(lambda: all_gone(processes))


def test_kill_9_of_the_watchdog_is_a_failure_and_leaves_nothing(supervise):
    supervisor = supervise({})
    processes = supervisor.wait_until_ready()
    find_watchdog(processes).kill()
    assert supervisor.process.wait(DEADLINE_S) == 1
    assert "watchdog" in supervisor.record()["reason"]
    assert all_gone(processes)


def test_the_server_gets_the_port_one_thread_and_its_own_group(supervise):
    port = find_free_port()
    supervisor = supervise({"port": port})
    watchdog = find_watchdog(supervisor.wait_until_ready())
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        text = b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode()
    server, child, threads = text.split("\r\n\r\n")[1].split()
    assert threads == "1"
    assert os.getpgid(int(server)) == os.getpgid(int(child)) == int(server)
    assert os.getpgid(watchdog.pid) == watchdog.pid


def test_a_port_in_use_fails_at_once(supervise):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        supervisor = supervise({"port": port})
        assert supervisor.process.wait(DEADLINE_S) == 1
    message = f"port {port} is already in use"
    assert message in supervisor.record()["reason"]
    assert message in supervisor.log.read_text()
    with pytest.raises(
        ServiceError, match=r"demo failed: port .*: stop that process or set another"
    ):
        wait_ready(str(supervisor.endpoint), 0)


def test_a_server_that_dies_at_the_start_says_why(supervise):
    code = "print('loading'); raise RuntimeError('no such model')"
    supervisor = supervise({"command": [sys.executable, "-c", code]})
    assert supervisor.process.wait(DEADLINE_S) == 1
    record = supervisor.record()
    assert record["state"] == "failed"
    assert "demo stopped before it was ready (exit status 1)" in record["reason"]
    assert "RuntimeError: no such model" in record["reason"]
    assert str(supervisor.log) in record["reason"]


def test_a_server_that_dies_later_is_a_failure(supervise):
    supervisor = supervise({})
    processes = supervisor.wait_until_ready()
    server = next(p for p in processes[1:] if p.children())
    server.kill()
    assert supervisor.process.wait(DEADLINE_S) == 1
    assert "demo stopped (killed by SIGKILL)" in supervisor.record()["reason"]
    assert all_gone(processes)


def test_a_server_that_is_never_ready_is_stopped(supervise):
    supervisor = supervise({"command": [sys.executable, "-c", STUBBORN], "ready_timeout": 0.5})
    assert supervisor.process.wait(DEADLINE_S) == 1
    reason = supervisor.record()["reason"]
    assert "did not answer" in reason and "within 0.5 s" in reason and "ready_timeout" in reason


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"serve": "tgi"}, "demo: serve: 'tgi' is not known; use one of command, retriever"),
        ({"serve": "vllm"}, "demo: model: missing; serve vllm needs it"),
        ({"port": 70_000}, "demo: port: 70000 is not a port"),
        ({"prot": 1}, "demo.prot: unknown setting"),
        ({"command": ["/no/such/program"]}, "/no/such/program cannot be started"),
    ],
)
def test_a_bad_spec_is_in_the_endpoint_file(supervise, spec, message):
    supervisor = supervise(spec)
    assert supervisor.process.wait(DEADLINE_S) == 1
    assert supervisor.record()["state"] == "failed"
    assert message in supervisor.record()["reason"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["command"], r"demo: \['command'\] is no spec; give a JSON object"),
        ({"port": 1}, "demo: serve: missing; use one of command, retriever"),
        ({**SPEC, "port": "80"}, "demo: port: '80' is not allowed; .* a whole number or null"),
        ({**SPEC, "gpus": True}, "demo: gpus: True is not allowed; .* be a whole number$"),
        ({**SPEC, "grace": None}, "demo: grace: None is not allowed; .* be a number$"),
        ({**SPEC, "grace": -1}, "demo: grace: -1 is out of range; .* at least 0"),
        ({**SPEC, "env": []}, r"demo: env: \[\] is not allowed; .* an object"),
        ({**SPEC, "command": "true"}, "demo: command: 'true' is not allowed; .* a list or null"),
    ],
)
def test_a_spec_is_refused_in_one_line(values, message):
    with pytest.raises(InputError, match=message) as refused:
        read_spec(values, "demo")
    assert "\n" not in str(refused.value)


def test_serving_needs_the_standard_library_alone():
    command = [sys.executable, "-S", SERVE, "--help"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_serves_a_real_retriever(supervise, tmp_path):
    corpus, index = tmp_path / "corpus.jsonl", tmp_path / "index"
    corpus.write_text('{"id": "1", "contents": "\\"Paris\\"\\nParis is in France."}\n')
    build_index(corpus, index, Index())
    spec = {"serve": "retriever", "index": str(index), "corpus": str(corpus), "command": None}
    supervisor = supervise(spec)
    wait_until(supervisor.endpoint.exists)
    assert wait_ready(str(supervisor.endpoint), DEADLINE_S).startswith("http://127.0.0.1:")
    supervisor.process.terminate()
    assert supervisor.process.wait(DEADLINE_S) == 0


def test_serves_the_laptops_web(supervise, tmp_path):
    corpus, index = tmp_path / "corpus.jsonl", tmp_path / "index"
    corpus.write_text('{"id": "1", "contents": "\\"Paris\\"\\nParis is in France."}\n')
    build_index(corpus, index, Index())
    paths = {"index": str(index), "corpus": str(corpus), "ledger": str(tmp_path / "ledger")}
    supervisor = supervise({"serve": "web", "command": None, **paths})
    wait_until(supervisor.endpoint.exists)
    assert wait_ready(str(supervisor.endpoint), DEADLINE_S).startswith("http://127.0.0.1:")
    supervisor.process.terminate()
    assert supervisor.process.wait(DEADLINE_S) == 0


def test_a_retriever_without_its_index_says_so(supervise, tmp_path):
    (tmp_path / "corpus.jsonl").touch()
    spec = {"serve": "retriever", "index": "none", "corpus": str(tmp_path / "corpus.jsonl")}
    supervisor = supervise(spec)
    assert supervisor.process.wait(DEADLINE_S) == 1
    assert "none: not an index (manifest.json is missing)" in supervisor.record()["reason"]


# Command lines.


def test_the_vllm_command_line():
    args = {"max_model_len": 2048, "enforce-eager": True, "enable_chunked_prefill": False}
    spec = ServerSpec("vllm", model="m", served_model_name="student", args=args)
    command = build_command(spec, 8000)
    assert " ".join(command[1:]) == (
        "-m vllm.entrypoints.openai.api_server --model m --served-model-name student"
        " --host 127.0.0.1 --port 8000 --max-model-len 2048 --enforce-eager"
        " --no-enable-chunked-prefill"
    )


def test_arguments_of_every_type():
    args = {"seed": 0, "dtype": None, "lora-modules": ["a", "b"], "hf_overrides": {"x": 1}}
    expected = ["--seed", "0", "--lora-modules", "a", "b", "--hf-overrides", '{"x": 1}']
    assert render_arguments(args) == expected


def test_the_scripted_teacher_command_line():
    spec = ServerSpec("scripted", model="teacher", ledger="ledger.db", rates={"bad_query": 0.1})
    check_spec(spec, "teacher")
    assert build_command(spec, 9)[2:] == [
        *("searchtrain.demo.endpoint", "--model", "teacher", "--port", "9"),
        *("--rates", '{"bad_query": 0.1}', "--ledger", "ledger.db"),
    ]


def test_the_laptops_web_command_line():
    paths = {"index": "index", "corpus": "corpus.jsonl", "ledger": "web.txt"}
    spec = ServerSpec("web", **paths, rates={"traps": 0.1})
    check_spec(spec, "web")
    assert build_command(spec, 9)[2:] == [
        *("searchtrain.demo.web", "--index", "index", "--corpus", "corpus.jsonl"),
        *("--rates", '{"traps": 0.1}', "--ledger", "web.txt", "--host", "127.0.0.1", "--port", "9"),
    ]
    with pytest.raises(InputError, match="web: ledger: missing; serve web needs it"):
        check_spec(ServerSpec("web", index="index", corpus="corpus.jsonl"), "web")


def test_the_environment_can_be_set_and_unset(monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET", "x")
    env = {"OMP_NUM_THREADS": 8, "SECRET": None}
    environment = build_environment(ServerSpec("vllm", model=str(tmp_path), env=env))
    assert environment["OMP_NUM_THREADS"] == "8" and "SECRET" not in environment
    assert environment["HF_HUB_OFFLINE"] == "1"
    with pytest.raises(InputError, match="ledger: missing"):
        check_spec(ServerSpec("scripted", model="m"), "teacher")


def test_the_gist_is_the_first_and_the_last_exception_since_the_start(tmp_path):
    log = tmp_path / "log"
    log.write_text("OldError: from before\n")
    start = log.stat().st_size
    assert read_gist(log, start) == "it logged nothing"
    with log.open("a") as stream:
        stream.write(
            "(Api) WARNING x.py: this can cause `OSError: [Errno 24]`\n"
            "(Engine) ERROR 11-21 [core.py:1] ValueError: too little memory\n"
            "RuntimeError: engine core failed\nbye\n"
        )
    assert read_gist(log, start) == (
        "ValueError: too little memory ... RuntimeError: engine core failed"
    )


# The client's side of the endpoint file.


def test_a_url_is_taken_as_it_is():
    assert wait_ready("http://host:1/v1/", 0) == "http://host:1/v1"


def test_waits_no_longer_than_it_may(tmp_path):
    path = tmp_path / "student.json"
    with pytest.raises(ServiceError, match=r"student.json: no such file after 0 s"):
        wait_ready(str(path), 0)
    write_endpoint(path, "student", "starting", "http://127.0.0.1:1")
    with pytest.raises(
        ServiceError, match=r"student is still starting after 0.2 s; .* ready_timeout"
    ):
        wait_ready(str(path), 0.2)
    write_endpoint(path, "student", "ready", "http://127.0.0.1:1")
    assert wait_ready(str(path), 0) == "http://127.0.0.1:1"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": "ready"}'])
def test_a_file_that_is_no_endpoint_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ServiceError, match="not an endpoint file"):
        wait_ready(str(tmp_path / "x.json"), 0)


def test_a_model_folder_without_a_tokenizer_fails_at_once(tmp_path):
    (tmp_path / "model").mkdir()
    for name, missing in (("config.json", "configuration"), ("tokenizer.json", "tokenizer")):
        spec = ServerSpec("vllm", model=str(tmp_path / "model"))
        with pytest.raises(InputError, match=f"demo: .*/model: no {missing} in this folder"):
            check_spec(spec, "demo")
        (tmp_path / "model" / name).write_text("{}")
    check_spec(spec, "demo")
