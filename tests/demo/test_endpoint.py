"""The scripted roles' endpoint: it completes, refuses, fails as it is told to, and counts."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from searchtrain.core.errors import InputError
from searchtrain.demo import endpoint
from searchtrain.demo.draws import check_rates
from searchtrain.demo.mistakes import RATES
from searchtrain.demo.server import Ledger

QUESTION = "Which currency code is used in the country of Ponferrada?"


def test_rates_are_checked() -> None:
    assert check_rates({}, RATES, "teacher.rates")["hang"] == 0
    with pytest.raises(InputError, match="unknown kind 'laziness'"):
        check_rates({"laziness": 0.1}, RATES, "teacher.rates")
    for rate in (1.5, -1, "often", True):
        with pytest.raises(InputError, match="not a share"):
            check_rates({"hang": rate}, RATES, "teacher.rates")


def chat(client: TestClient, **body: Any) -> Any:
    body = {"model": "teacher", "messages": [{"role": "user", "content": QUESTION}], **body}
    return client.post("/v1/chat/completions", json=body)


def test_http_completion_honours_stop_and_counts_tokens(tmp_path: Path) -> None:
    with TestClient(endpoint.make_app({}, Ledger())) as client:
        reply = chat(client, stop=["</search>", "</answer>"]).json()
        choice = reply["choices"][0]
        assert choice["finish_reason"] == "stop"
        assert choice["message"]["content"].endswith("<search>city Ponferrada")
        assert reply["usage"]["prompt_tokens"] == len(QUESTION.split())
        usage = reply["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        whole = chat(client).json()["choices"][0]["message"]["content"]
        assert whole.endswith("</search>")
        short = chat(client, max_tokens=2).json()["choices"][0]
        assert short["finish_reason"] == "length"
        assert len(short["message"]["content"].split()) == 2
        assert client.get("/health").json() == {"status": "ok"}
        assert client.get("/v1/models").json()["data"][0]["id"] == "teacher"


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"messages": [{"role": "system", "content": "no user"}]},
        {"messages": ["text"]},
        {"stream": True},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
    ],
)
def test_http_refuses_what_it_can_not_answer(body: dict[str, Any]) -> None:
    with TestClient(endpoint.make_app({}, Ledger())) as client:
        reply = chat(client, **body)
        assert reply.status_code == 400
        assert reply.json()["error"]["message"]
        assert client.get("/stats").json()["answered"] == 0


def test_http_body_that_is_no_json_is_refused() -> None:
    with TestClient(endpoint.make_app({}, Ledger())) as client:
        for content in ("{", "[]"):
            assert client.post("/v1/chat/completions", content=content).status_code == 400


def test_http_500_can_be_retried_unless_the_rate_is_1() -> None:
    with TestClient(endpoint.make_app({"http_500": 1}, Ledger())) as client:
        assert [chat(client).status_code for _ in range(5)] == [500] * 5
        assert client.get("/stats").json()["answered"] == 0
    with TestClient(endpoint.make_app({"http_500": 0.5}, Ledger())) as client:
        codes = {chat(client).status_code for _ in range(30)}
        assert codes == {200, 500}


def test_ledger_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "ledger.txt"
    with TestClient(endpoint.make_app({}, Ledger(path))) as client:
        chat(client, seed=1)
        chat(client, seed=2)
    with TestClient(endpoint.make_app({}, Ledger(path))) as client:
        assert client.get("/stats").json() == {"answered": 2, "distinct": 2, "repeated": 0}
        chat(client, seed=2)
        assert client.get("/stats").json() == {"answered": 3, "distinct": 2, "repeated": 1}


@pytest.mark.parametrize("content", ["plain text", "[]", "{}"])
@pytest.mark.parametrize("field", ["findings", "correct"])
def test_http_refuses_a_role_without_its_json(content: str, field: str) -> None:
    with TestClient(endpoint.make_app({}, Ledger())) as client:
        schema = {"properties": {field: {}}}
        asked = {"type": "json_schema", "json_schema": {"schema": schema}}
        messages = [{"role": "user", "content": content}]
        assert chat(client, messages=messages, response_format=asked).status_code == 400


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def server(port: int, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    rates = json.dumps(getattr(request, "param", {}))
    command = [sys.executable, "-m", "searchtrain.demo.endpoint"]
    command += ["--port", str(port), "--rates", rates]
    scripts = Path(endpoint.__file__).parents[2]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(scripts)})
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()


def post(port: int, timeout: float) -> int:
    body = json.dumps({"messages": [{"role": "user", "content": QUESTION}]}).encode()
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=timeout) as reply:
        return reply.status


def test_the_server_stops_on_sigterm(server: subprocess.Popen[bytes], port: int) -> None:
    assert post(port, timeout=60) == 200
    server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=60) in (0, -signal.SIGTERM)


@pytest.mark.parametrize("server", [{"hang": 1}], indirect=True)
def test_hang_keeps_the_client_waiting(server: subprocess.Popen[bytes], port: int) -> None:
    with pytest.raises(TimeoutError):
        post(port, timeout=1)
