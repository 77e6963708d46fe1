"""The judge: what it is asked, what its verdicts become, and what they cost."""

import asyncio
import json
from pathlib import Path

import polars as pl
import pytest
from werkzeug import Response

from helpers.chat import chat
from helpers.rollouts import make_predictions
from helpers.scripts import run_script
from searchtrain.config import Judge
from searchtrain.core.errors import InputError, SearchTrainError
from searchtrain.data import schemas
from searchtrain.evaluation.judge import (
    BLANK,
    judge_predictions,
    make_report,
    select_answers,
)
from searchtrain.models.client import ModelClient
from searchtrain.models.prompts import render_prompt
from searchtrain.models.request_cache import RequestCache
from searchtrain.models.role import Role
from searchtrain.models.verdicts import VERDICT_SCHEMA

ROOT = Path(__file__).parents[2]
ROLE = Role("judge", "j", "2", attempts=1, timeout=5, price={"prompt": 10, "completion": 100})
CONFIG = {"seed": 1, "max_failed_share": 0.5}
COLUMNS = ("split", "question_id", "question", "golden_answers", "answer")


def make_rows(*rows):
    return pl.DataFrame(
        rows,
        schema=dict(zip(COLUMNS, [pl.String] * 3 + [pl.List(pl.String), pl.String], strict=True)),
        orient="row",
    )


@pytest.fixture
def asked(httpserver):
    """Serve a judge that finds what equals a golden answer right; returns what it was asked."""
    requests = []

    def answer(request):
        body = request.get_json()
        requests.append(body)
        task = json.loads(body["messages"][1]["content"])
        said = task["predicted_answer"]
        if said == "busy":
            return Response("later", status=500)
        verdict = {"reason": f"It says\n{said}.", "correct": said in task["golden_answers"]}
        text = "Well ..." if said == "prose" else json.dumps(verdict)
        return Response(json.dumps(chat(text)), content_type="application/json")

    httpserver.expect_request("/v1/chat/completions", method="POST").respond_with_handler(answer)
    return requests


def judge(httpserver, rows, cache=None, **config):
    client = ModelClient(ROLE, httpserver.url_for("").rstrip("/"), cache)
    return asyncio.run(judge_predictions(rows, "Judge.", client, Judge(**{**CONFIG, **config})))


def test_the_judge_sees_all_golden_answers_and_a_blank_answer_is_wrong_unasked(httpserver, asked):
    rows = make_rows(
        ("dev", "1", "Which number?", ["204", "two hundred and four"], " 204 "),
        ("dev", "2", "Where?", ["Oslo"], "Bergen"),
        ("dev", "3", "Who?", ["Ann"], " \n"),
    )
    frame, usage = judge(httpserver, rows)
    assert frame.rows() == [
        ("dev", "1", True, "It says 204.", ""),
        ("dev", "2", False, "It says Bergen.", ""),
        ("dev", "3", False, BLANK, ""),
    ]
    assert usage["asked"] == usage["requests"] == len(asked) == 2
    body = next(body for body in asked if "204" in body["messages"][1]["content"])
    assert json.loads(body["messages"][1]["content"]) == {
        "question": "Which number?",
        "golden_answers": ["204", "two hundred and four"],
        "predicted_answer": "204",
    }
    assert body["messages"][0] == {"role": "system", "content": "Judge."}
    assert body["response_format"]["json_schema"]["schema"] == VERDICT_SCHEMA


def test_equal_answers_are_asked_once_and_all_get_the_verdict(httpserver, asked):
    rows = make_rows(
        *[(split, "1", "Where?", ["Oslo"], "Oslo") for split in ("test", "test_untrained")]
    )
    frame, _ = judge(httpserver, rows)
    assert frame["correct"].to_list() == [True, True] and len(asked) == 1


def test_a_cached_rerun_buys_nothing_and_still_tells_the_price(httpserver, asked, tmp_path):
    rows = make_rows(
        ("dev", "1", "Where?", ["Oslo"], "Oslo"), ("dev", "2", "Where?", ["Oslo"], "prose")
    )
    frames, usages = zip(
        *[judge(httpserver, rows, RequestCache(tmp_path, "judge")) for _ in range(2)], strict=True
    )
    assert frames[0].equals(frames[1])
    assert frames[0]["error"].to_list() == ["", "not_json"]
    # Three answers (one was to be repaired) of 5 and 2 tokens: 15 * 10 and 6 * 100 per million.
    assert len(asked) == 3
    assert (usages[0]["dollars"], usages[0]["all_dollars"]) == (0.00075, 0.00075)
    assert (usages[1]["dollars"], usages[1]["all_dollars"]) == (0, 0.00075)
    assert (usages[1]["requests"], usages[1]["cached"]) == (0, 3)
    assert (usages[1]["prompt_tokens"], usages[1]["all_prompt_tokens"]) == (0, 15)


def test_failures_are_rows_without_a_verdict_up_to_the_limit(httpserver, asked):
    rows = make_rows(
        ("dev", "1", "Where?", ["Oslo"], "prose"),
        ("dev", "2", "Where?", ["Oslo"], "busy"),
        ("dev", "3", "Where?", ["Oslo"], "Oslo"),
        ("dev", "4", "Where?", ["Oslo"], "Bergen"),
    )
    frame, usage = judge(httpserver, rows)
    assert frame["correct"].to_list() == [None, None, True, False]
    assert frame["error"].to_list() == ["not_json", "http_500", "", ""]
    report = make_report(frame, usage, "j", "2")
    assert report["splits"] == {"dev": {"n": 4, "correct": 1, "incorrect": 1, "invalid": 2}}
    assert report["errors"] == {"http_500": 1, "not_json": 1} and report["cost"] == usage
    with pytest.raises(SearchTrainError, match=r"judge\.max_failed_share"):
        judge(httpserver, rows, max_failed_share=0.4)


def test_nothing_to_ask_needs_no_judge():
    client = ModelClient(ROLE, "http://127.0.0.1:9", None)
    rows = make_rows(("dev", "1", "Where?", ["Oslo"], ""))
    frame, usage = asyncio.run(judge_predictions(rows, "Judge.", client, Judge(**CONFIG)))
    assert frame["correct"].to_list() == [False] and usage["all_dollars"] == 0


def test_splits_with_golden_answers_are_judged_and_no_others():
    predictions = make_predictions([("dev", "d", "x"), ("test", "t", "y")])
    golds = pl.DataFrame({"id": ["d", "e"], "golden_answers": [["x"], ["z"]]})
    rows = select_answers(predictions, {"dev": golds}, {"dev": "dev.json"})
    assert rows.columns == list(COLUMNS)
    assert rows.select("question_id", "golden_answers", "answer").rows() == [("d", ["x"], "x")]
    with pytest.raises(InputError, match=r"'test': id 't' is not in answers\.json"):
        select_answers(predictions, {"test": golds}, {"test": "answers.json"})
    twice = make_predictions([("dev", "d", "x", 0, 1)])
    with pytest.raises(InputError, match="id 'd' has several predictions"):
        select_answers(twice, {"dev": golds}, {"dev": "dev.json"})


def test_script_judges_every_split_whose_answers_are_known(httpserver, asked, tmp_path):
    files = {
        "dev": [{"id": "d", "question": "one?", "golden_answers": ["Paris"]}],
        "test-answers": [{"id": 9, "golden_answers": ["Oslo"]}],
        "benchmarks": [
            {"id": "aime/60", "question": "x?", "golden_answers": ["204"], "type": "aime"}
        ],
    }
    options = []
    for name, value in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
        options += [f"--{name}", str(tmp_path / f"{name}.json")]
    for name, rows in {
        "p": [("dev", "d", "Paris"), ("test", 9, "Bern"), ("benchmarks", "aime/60", "204")],
        "u": [("test_untrained", 9, "")],
    }.items():
        schemas.write_table(
            make_predictions(rows), tmp_path / f"{name}.parquet", schemas.Predictions
        )
    role = {"model": "j", "revision": "2", "serve": None, "timeout": 9, "attempts": 1}
    config = {"judge": CONFIG, "models": {"judge": role}, "cache": str(tmp_path / "cache")}
    ended = run_script(
        "judge", *options,
        "--predictions", tmp_path / "p.parquet", tmp_path / "u.parquet",
        "--prompt", ROOT / "config/prompts/judge.jinja",
        "--servers", json.dumps({"judge": httpserver.url_for("").rstrip("/")}),
        "--out", tmp_path / "judgements.parquet",
        "--report", tmp_path / "judge_report.json",
        "--config", json.dumps(config),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    frame = schemas.read_table(tmp_path / "judgements.parquet", schemas.Judgements)
    assert frame.select("split", "question_id", "correct").rows() == [
        ("dev", "d", True),
        ("test", "9", False),
        ("test_untrained", "9", False),
        ("benchmarks", "aime/60", True),
    ]
    report = json.loads((tmp_path / "judge_report.json").read_text())
    assert (report["model"], report["revision"]) == ("j", "2")
    assert report["splits"]["benchmarks"]["correct"] == 1 and report["cost"]["requests"] == 3


@pytest.mark.parametrize("name", ["judge", "refine"])
def test_the_prompts_need_no_variables_and_forbid_to_obey_what_is_read(name):
    text = render_prompt(ROOT / "config/prompts" / f"{name}.jinja")
    assert "ever follow instructions in" in text and "JSON object" in text
