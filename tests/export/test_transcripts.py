"""A run's rollouts as Inspect AI's viewer has them: read back by Inspect, and seen in Chromium."""

import json
import os
import re
import signal
import sqlite3
import subprocess
from contextlib import contextmanager

import polars as pl
import pytest

from helpers.checkout import ROOT
from helpers.chromium import needs_chromium, open_browser, open_page
from helpers.hostile import TEXTS
from helpers.rollouts import make_frame, make_predictions, make_rollout
from helpers.scores import make_scores
from searchtrain.config import Curate, Rules
from searchtrain.curation.choice import curate_rollouts
from searchtrain.data import schemas
from searchtrain.serving.port import find_free_port

PYTHON = ROOT / ".venv-view/bin/python"
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="needs .venv-view (make setup-view)")

PRICE = {"models": {"teacher": {"price": {"prompt": 2.0, "completion": 10.0}}}}
WRITE = """
import runpy, sys
from searchtrain.export import transcripts
transcripts.MOST = 6
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
READ = """
import json, pathlib, sys
from inspect_ai.log import read_eval_log
logs = {}
for file in sorted(pathlib.Path(sys.argv[1]).glob("*.eval")):
    logs[file.name] = read_eval_log(str(file)).model_dump(mode="json")
json.dump(logs, sys.stdout)
"""


def break_turn(messages):
    messages[2]["content"] = "I search <search>Norway"


def say(text):
    def tamper(messages):
        messages[3]["content"] = f"<information>\n{text}\n</information>"

    return tamper


def run_python(code, *arguments):
    path = f"{ROOT / 'scripts'}"
    command = [PYTHON, "-c", code, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@contextmanager
def serve(folder):
    """The addresses of the viewer and of the search in its transcripts."""
    command = [PYTHON, ROOT / "scripts/view.py", folder, "--port", str(find_free_port())]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        said = [server.stdout.readline() for _ in range(2)]
        yield [re.search(r"http://\S+", line)[0] for line in said]
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The transcripts of a small run with hostile texts everywhere."""
    results = tmp_path_factory.mktemp("results")
    repaired = make_rollout("q1", repairs=["prose"])
    rollouts = make_frame(
        {**repaired, "raw": ["as the model wrote it", ""]},
        make_rollout("q2", answer="Bergen"),
        make_rollout("q3", tamper=break_turn),
        *(
            make_rollout(f"h/{name} {text[:200]}", asked=text, answer=text, tamper=say(text))
            for name, text in TEXTS.items()
        ),
    )
    rules = Rules(exact_match=True, valid_grammar=True, turns=6)
    curated, verdicts = curate_rollouts(rollouts, Curate(rules=rules))
    schemas.write_table(rollouts, results / "trajectories.parquet", schemas.Trajectories)
    schemas.write_table(verdicts, results / "curation.parquet", schemas.Verdicts)
    schemas.write_table(curated, results / "curated.parquet", schemas.Curated)
    asked = [("dev", "q10", "Oslo"), ("test", "q10", "Rome"), ("test", "q11", "x")]
    schemas.write_table(
        make_predictions(asked), results / "predictions.parquet", schemas.Predictions
    )
    scores = [
        make_scores([True], "dev", first=10),
        make_scores([True, False], "test", kinds=["two_hop"] * 2, first=10),
    ]
    schemas.write_table(pl.concat(scores), results / "scores.parquet", schemas.Scores)
    (results / "types.json").write_text(json.dumps({"q1": "three_hop"}))
    (results / "answers.json").write_text(json.dumps([{"id": "q11", "golden_answers": ["Paris"]}]))
    run_python(
        WRITE, ROOT / "scripts/transcripts.py", "--tables", *results.glob("*.parquet"),
        "--types", results / "types.json", "--answers", results / "answers.json",
        "--config", json.dumps(PRICE), "--out", results / "transcripts",
    )  # fmt: skip
    return results / "transcripts"


@pytest.fixture(scope="module")
def logs(folder):
    """What Inspect reads of each file."""
    return json.loads(run_python(READ, folder))


@pytest.fixture(scope="module")
def samples(logs):
    """The teacher's samples by the id of their rollout."""
    files = [log for name, log in logs.items() if name.startswith("teacher")]
    return {each["metadata"]["rollout"]: each for log in files for each in log["samples"]}


def test_each_part_has_files_of_its_own_and_what_fails_comes_first(logs, folder):
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    assert [(each["file"], each["name"], each["rollouts"]) for each in listed] == [
        ("teacher-1.eval", "teacher's rollouts (1 of 2)", 6),
        ("teacher-2.eval", "teacher's rollouts (2 of 2)", 4),
        ("student-dev.eval", "student on dev", 1),
        ("student-test.eval", "student on test", 2),
    ]
    first, last = (logs[f"teacher-{number}.eval"]["samples"] for number in (1, 2))
    failed = [[each["scores"]["failed"]["value"] for each in rows] for rows in (first, last)]
    assert min(failed[0]) >= max(failed[1]) > min(failed[1]) == 0
    kept = {each["id"] for each in first + last if each["scores"]["kept"]["value"] == "C"}
    assert kept == {"q1"} and "q2" in {each["id"] for each in first}
    times = [log["stats"]["started_at"] for log in logs.values()]
    assert all(time.startswith("20") for time in times)


def test_a_rollout_is_reasoning_calls_and_passages(samples):
    kept = samples["q1#0"]
    system, user, turn, found, last = kept["messages"]
    assert (system["role"], user["content"]) == ("system", "What is the capital?")
    assert turn["content"][0]["reasoning"] == "I look it up."
    call = turn["tool_calls"][0]
    assert (call["function"], call["arguments"]) == ("search", {"queries": ["capital of Norway"]})
    assert turn["metadata"]["as_written"] == "as the model wrote it"
    assert found["tool_call_id"] == call["id"]
    passages, sources = (each["text"] for each in found["content"])
    assert "founded in 1,040" in passages and "<information>" not in passages
    assert sources == "passages found: 0\nshown above: 1"
    assert last["content"][-1]["text"] == kept["output"]["completion"] == "Oslo"
    assert kept["target"] == ["Oslo", "Kristiania"]


def test_a_turn_that_breaks_the_grammar_stays_as_it_is(samples):
    turn = samples["q3#0"]["messages"][2]
    assert turn["content"] == "I search <search>Norway" and not turn.get("tool_calls")


def test_a_rollout_has_a_score_per_rule_its_cost_and_where_it_went(samples):
    wrong, right = samples["q2#0"], samples["q1#0"]
    assert list(wrong["scores"])[:3] == ["kept", "failed", "exact_match"]
    assert wrong["scores"]["exact_match"]["explanation"] == "measured 0, threshold 1"
    assert wrong["scores"]["turns"]["explanation"] == "measured 2, threshold 6"
    assert wrong["scores"]["kept"]["explanation"] == "fails exact_match, supported"
    usage = right["model_usage"]["m"]
    assert (usage["input_tokens"], usage["total_cost"]) == (1, pytest.approx(12e-6))
    facts = right["metadata"]
    assert (facts["type"], facts["hops"], facts["wave"]) == ("three_hop", 3, "first")
    assert (facts["sft_record"], wrong["metadata"].get("sft_record")) == (0, None)
    assert (facts["repairs"], facts["lineage"]["revision"]) == ("prose", "r")


def test_a_students_answer_has_its_scores_and_the_golden_answers(logs):
    right, wrong = logs["student-test.eval"]["samples"]
    assert {name: score["value"] for name, score in wrong["scores"].items()} == {
        "em_strict": "I", "em_normalised": "I", "f1": 0.0, "cause": "reading",
    }  # fmt: skip
    assert right["scores"]["cause"]["value"] == "none"
    assert (wrong["target"], wrong["metadata"]["hops"]) == (["Paris"], 2)


def test_hostile_texts_come_back_as_they_were(samples):
    for name, text in TEXTS.items():
        rollout = next(each for key, each in samples.items() if key.startswith(f"h/{name} "))
        assert rollout["input"] == text
        assert rollout["messages"][3]["content"][0]["text"] == text


@needs_chromium
def test_the_viewer_lists_and_opens_rollouts_and_the_search_finds_them(folder):
    """Whatever they hold is text, and nothing is asked of another machine."""
    with sqlite3.connect(folder / "search.sqlite") as table:
        addresses = dict(table.execute("select rollout, address from transcripts"))
    with serve(folder) as (viewer, search), open_browser() as browser:
        with open_page(browser, viewer) as looks:
            looks.page.get_by_text("teacher's rollouts (1 of 2)").click()
            looks.page.locator("[role=row]").nth(1).get_by_text("Bergen").click()
            looks.page.get_by_text("passages found: 0").wait_for()
            for address in (each for key, each in addresses.items() if key.startswith("h/")):
                looks.page.goto(f"{viewer}{address}")
                looks.page.get_by_text("passages found: 0").wait_for()
                assert not looks.page.evaluate("window.owned")
            assert not looks.faults and not looks.outside
        with open_page(browser, search) as looks:
            looks.page.get_by_label("words").fill("Bergen")
            looks.page.get_by_role("button", name="Run SQL").click()
            link = looks.page.locator(f"a[href='{viewer}{addresses['q2#0']}']")
            link.wait_for()
            for words in ("owned", "wide"):
                looks.page.goto(f"{search}?words={words}")
                assert not looks.page.evaluate("window.owned")
            assert not looks.faults and not looks.outside
