"""The judge of trajectories: whom it is asked about, what it sees, what its verdicts become."""

import asyncio
import json
from pathlib import Path

import polars as pl
import pytest
from werkzeug import Response

from helpers.chat import chat
from helpers.rollouts import make_frame, make_rollout
from helpers.scripts import run_script
from searchtrain.config import Rules, Shortcuts
from searchtrain.core.errors import InputError, SearchTrainError
from searchtrain.curation.shortcuts import (
    GENUINE_SCHEMA,
    judge_shortcuts,
    make_report,
    select_rollouts,
)
from searchtrain.data import schemas
from searchtrain.models.client import ModelClient
from searchtrain.models.request_cache import RequestCache
from searchtrain.models.role import Role

ROOT = Path(__file__).parents[2]
ROLE = Role("judge", "j", "2", attempts=1, price={"prompt": 10, "completion": 100})
CONFIG = {"seed": 1, "max_failed_share": 0.5}
OFF = dict.fromkeys(Rules.model_fields)


def make_questions(**levels):
    """`schemas.Questions`, one for each keyword: its levels, none for a seed."""
    return pl.DataFrame(
        [
            {
                "id": key, "question": "What?", "golden_answers": ["Oslo"], "source": "x",
                "exclude_urls": [], "origin": "tree" if pages else "seed",
                "vertices": 3 if pages else 0, "levels": pages,
            }
            for key, pages in levels.items()
        ],
        schema=schemas.empty_table(schemas.Questions).schema,
    )  # fmt: skip


@pytest.fixture
def asked(httpserver):
    """Serve a judge that takes one search for a shortcut; returns what it was asked."""
    requests = []

    def answer(request):
        body = request.get_json()
        requests.append(body)
        task = json.loads(body["messages"][1]["content"])
        if task["question"] == "busy?":
            return Response("later", status=500)
        turns = [step["content"] for step in task["trajectory"] if step["role"] == "assistant"]
        verdict = {"reason": f"It has\n{len(turns)} turns.", "genuine": len(turns) > 2}
        text = "Well ..." if task["question"] == "prose?" else json.dumps(verdict)
        return Response(json.dumps(chat(text)), content_type="application/json")

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(answer)
    return requests


def judge(httpserver, rollouts, cache=None, **config):
    """The verdicts and the report."""
    client = ModelClient(ROLE, httpserver.url_for("").rstrip("/"), cache)
    frame = asyncio.run(
        judge_shortcuts(rollouts, "Judge.", client, Shortcuts(**{**CONFIG, **config}))
    )
    return frame, make_report(frame, 9, client)


def test_right_rollouts_of_tree_questions_are_judged_however_right_they_are():
    rollouts = make_frame(
        make_rollout("tree", 0),
        make_rollout("tree", 1, answer="Bergen"),
        make_rollout("tree", 2, answer="It is Oslo, Norway."),
        make_rollout("tree", 3, answer="oslo."),
        make_rollout("tree", 4, answer="", stop="turn_limit"),
        make_rollout("seed", 0),
    )
    chosen = select_rollouts(rollouts, make_questions(tree=[["1"], ["2"]], seed=[]))
    assert chosen["id"].to_list() == ["tree#0", "tree#2", "tree#3"]
    assert chosen.columns == rollouts.columns
    with pytest.raises(InputError, match=r"question_id 'seed' \(1 such ids\) is not among"):
        select_rollouts(rollouts, make_questions(tree=[["1"]]))


def test_the_judge_sees_the_question_and_all_turns_but_no_prompt(httpserver, asked):
    rollouts = make_frame(
        make_rollout("a", queries=(("one",), ("two", "three"))), make_rollout("b", 1)
    )
    frame, report = judge(httpserver, rollouts)
    assert frame.rows() == [
        ("a#0", True, "It has 3 turns.", ""),
        ("b#1", False, "It has 2 turns.", ""),
    ]
    body = next(body for body in asked if "three" in body["messages"][1]["content"])
    assert body["messages"][0] == {"role": "system", "content": "Judge."}
    task = json.loads(body["messages"][1]["content"])
    assert set(task) == {"question", "trajectory"} and task["question"] == "What is the capital?"
    assert task["trajectory"] == rollouts["messages"].to_list()[0][2:]
    assert body["response_format"]["json_schema"]["schema"] == GENUINE_SCHEMA
    assert (report["rollouts"], report["judged"]) == (9, 2)
    assert (report["genuine"], report["shortcuts"], report["invalid"]) == (1, 1, 0)


def test_failures_are_rows_without_a_verdict_up_to_the_limit(httpserver, asked, tmp_path):
    rollouts = make_frame(
        make_rollout("a", asked="prose?"),
        make_rollout("b", asked="busy?"),
        make_rollout("c"),
        make_rollout("d", queries=(("one",), ("two",))),
    )
    frame, report = judge(httpserver, rollouts, RequestCache(tmp_path, "shortcuts"))
    assert frame["genuine"].to_list() == [None, None, False, True]
    assert frame["error"].to_list() == ["not_json", "http_500", "", ""]
    assert report["errors"] == {"http_500": 1, "not_json": 1} and report["invalid"] == 2
    # Four answers (one was to be repaired) of 5 and 2 tokens: 20 * 10 and 8 * 100 per million.
    assert report["cost"]["dollars"] == report["cost"]["all_dollars"] == 0.001
    before = len(asked)
    again, report = judge(httpserver, rollouts, RequestCache(tmp_path, "shortcuts"))
    assert again.equals(frame) and report["cost"]["dollars"] == 0
    assert len(asked) == before + 1  # only what had failed
    with pytest.raises(SearchTrainError, match=r"shortcuts\.max_failed_share"):
        judge(httpserver, rollouts, max_failed_share=0.4)


def test_nothing_to_judge_needs_no_judge():
    client = ModelClient(ROLE, "http://127.0.0.1:9", None)
    frame = asyncio.run(judge_shortcuts(make_frame(), "Judge.", client, Shortcuts(**CONFIG)))
    assert frame.height == 0 and make_report(frame, 3, client)["judged"] == 0


def test_scripts_judge_and_then_keep_what_is_genuine(httpserver, asked, tmp_path):
    rollouts = make_frame(
        make_rollout("tree", 0),
        make_rollout("tree", 1, queries=(("one",), ("two",))),
        make_rollout("seed", 0),
    )
    schemas.write_table(rollouts, tmp_path / "trajectories.parquet", schemas.Trajectories)
    questions = make_questions(tree=[["0"], ["1"]], seed=[])
    schemas.write_table(questions, tmp_path / "questions.parquet", schemas.Questions)
    role = {"model": "j", "revision": "2", "serve": None, "timeout": 9, "attempts": 1}
    config = {"shortcuts": CONFIG, "models": {"judge": role}, "cache": str(tmp_path / "cache")}
    tables = [
        "--trajectories", tmp_path / "trajectories.parquet",
        "--questions", tmp_path / "questions.parquet",
    ]  # fmt: skip
    ended = run_script(
        "shortcuts", *tables,
        "--prompt", ROOT / "config/prompts/judge_trajectory.jinja",
        "--servers", json.dumps({"judge": httpserver.url_for("").rstrip("/")}),
        "--out", tmp_path / "shortcuts.parquet",
        "--report", tmp_path / "report.json",
        "--config", json.dumps(config),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    verdicts = schemas.read_table(tmp_path / "shortcuts.parquet", schemas.Shortcuts)
    assert verdicts.select("id", "genuine").rows() == [("tree#0", False), ("tree#1", True)]
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["model"], report["rollouts"], report["judged"]) == ("j", 3, 2)
    curate = [
        "curate", *tables,
        "--out", tmp_path / "curated.parquet",
        "--verdicts", tmp_path / "curation.parquet",
        "--config", json.dumps({"curate": {"rules": {**OFF, "genuine": True}}}),
    ]  # fmt: skip
    ended = run_script(*curate, "--shortcuts", tmp_path / "shortcuts.parquet")
    assert ended.returncode == 0, ended.stderr
    curated = schemas.read_table(tmp_path / "curated.parquet", schemas.Curated)
    assert curated["id"].to_list() == ["tree#1", "seed#0"]
    ended = run_script(*curate)
    assert ended.returncode == 1 and "shortcuts.enabled" in ended.stderr
