"""`make ask`: a question answered by the agent's own loop, and shown as it goes; its retriever is
started and ended with it."""

import http.client
import json
import re

from werkzeug import Response

from helpers.chat import chat
from helpers.hostile import DIRECTION, TERMINAL
from helpers.scripts import run_script
from searchtrain.agent.grammar import render_turn

PASSAGES = [
    {"id": "1", "contents": '"Oslo"\nOslo is the capital of Norway.'},
    {"id": "2", "contents": f'"Bergen {TERMINAL}"\nBergen is a city of Norway.'},
]


def test_a_question_is_answered_and_shown(tmp_path, httpserver, monkeypatch):
    results = tmp_path / "results"
    results.mkdir()
    corpus = results / "corpus.jsonl"
    corpus.write_text("".join(json.dumps(row) + "\n" for row in PASSAGES))
    made = run_script("index", "--corpus", corpus, "--work", results, "--out", results / "index")
    assert made.returncode == 0, made.stderr
    turns = iter([
        render_turn(f"I look\nit up. {DIRECTION}", queries=["capital Norway", "city Norway"]),
        render_turn("Now I know.", answer="Oslo"),
    ])  # fmt: skip
    asked = []

    def answer(request):
        asked.append(request.json["messages"])
        return Response(json.dumps(chat(next(turns))), content_type="application/json")

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(answer)
    changes = {
        "models": {"student": {"endpoint": httpserver.url_for("/v1")}},
        "cache": str(tmp_path / "cache"),
        "pathvars": {"logs": str(tmp_path / "logs")},
    }
    monkeypatch.setenv("COLUMNS", "40")  # a long line is not wrapped where no terminal is
    ended = run_script("ask", "What is the  capital of Norway?", "--results", results,
                       "--config", json.dumps(changes))  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0] == "thinks: I look"
    assert lines[1].startswith("        it up. \\u202egnp.exe")
    assert lines[2:4] == ["searches: capital Norway", "          city Norway"]
    assert lines[4].startswith("finds: Oslo") and lines[4].endswith("(capital Norway)")
    assert "Bergen \\x1b]0;owned" in lines[5] and "\x1b" not in ended.stdout
    assert lines[6] == "thinks: Now I know."
    assert re.fullmatch(r"answer: Oslo  \(1 search, 14 tokens, \d+\.\d s\)", lines[7])
    assert asked[0][-1] == {"role": "user", "content": "What is the capital of Norway?"}
    assert "Oslo is the capital of Norway." in asked[1][-1]["content"]
    log = (tmp_path / "logs" / "ask-retriever.log").read_text()
    port = int(re.search(r"starts on http://127\.0\.0\.1:(\d+)", log)[1])
    try:
        http.client.HTTPConnection("127.0.0.1", port, timeout=5).connect()
    except ConnectionRefusedError:
        return
    raise AssertionError("the retriever is still there")


def test_without_a_checkpoint_the_remedy_is_named(tmp_path):
    ended = run_script("ask", "Who?", "--results", tmp_path)
    assert ended.returncode == 1
    assert f"{tmp_path}/checkpoint: not there" in ended.stderr and "make" in ended.stderr
