"""Runs as BrowseComp-Plus has them, and recall and search calls worked out by hand."""

import json
from pathlib import Path

import polars as pl
import pytest

from helpers.rollouts import make_rollout
from helpers.scripts import run_script
from searchtrain.agent import grammar
from searchtrain.core.errors import InputError
from searchtrain.data import schemas
from searchtrain.evaluation.benchmarks import COLUMNS
from searchtrain.evaluation.browsecomp_runs import make_run, select_runs, write_runs
from searchtrain.evaluation.browsecomp_scores import score_runs
from searchtrain.evaluation.qrels import read_qrels

ROOT = Path(__file__).parents[2]
NAME = "browsecomp"
PATHS = {"recall": "evidence.txt", "gold_recall": "gold.txt"}


def make_predictions(*rollouts):
    rows = [{**rollout, "split": "benchmarks"} for rollout in rollouts]
    return pl.DataFrame(rows, schema=schemas.empty_table(schemas.Predictions).schema)


def make_benchmarks(*ids):
    rows = [
        {
            "id": key, "question": "What is the capital?", "golden_answers": ["Oslo"],
            "source": "x", "exclude_urls": [], "type": key.partition("/")[0],
        }
        for key in ids
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=COLUMNS)


def select(rollouts, ids, name=NAME):
    return select_runs(make_predictions(*rollouts), make_benchmarks(*ids), name, "benchmarks.json")


RIGHT = make_rollout(
    f"{NAME}/7", queries=(("one", "two"), ("three",)), hits=[["d1", "d2", "d1"], ["d3"]]
)
WRONG = make_rollout(f"{NAME}/12", queries=(("x",),), answer="Bergen", hits=[["d9"]])
OPEN = make_rollout(f"{NAME}/30", queries=(), answer="", stop="turn_limit", hits=[])
OTHER = make_rollout("gaia/1", answer="Oslo")


def test_a_run_has_calls_documents_and_the_answer_last():
    (row,) = select([RIGHT], [f"{NAME}/7"]).to_dicts()
    run = make_run(row)
    assert run["query_id"] == "7" and run["status"] == "completed"
    assert run["tool_call_counts"] == {"search": 3}
    assert run["retrieved_docids"] == ["d1", "d2", "d3"]
    assert run["metadata"]["model"] == "m"
    kinds = [step["type"] for step in run["result"]]
    assert kinds == [
        "reasoning", "tool_call", "tool_call", "reasoning", "tool_call", "reasoning", "output_text",
    ]  # fmt: skip
    calls = [step for step in run["result"] if step["type"] == "tool_call"]
    assert [json.loads(call["arguments"])["query"] for call in calls] == ["one", "two", "three"]
    assert {call["tool_name"] for call in calls} == {"search"}
    assert "<information>" in calls[0]["output"] and calls[1]["output"] == ""
    assert run["result"][0]["output"] == ["I look it up."]
    last = run["result"][-1]
    assert (last["output"], last["tool_name"], last["arguments"]) == ("Oslo", None, None)


def test_a_run_without_an_answer_is_not_completed():
    (row,) = select([OPEN], [f"{NAME}/30"]).to_dicts()
    run = make_run(row)
    assert run["status"] == "turn_limit" and run["tool_call_counts"] == {"search": 0}
    assert run["result"] == [] and run["retrieved_docids"] == []
    cut = make_rollout(f"{NAME}/1", stop="model_error")
    (row,) = select([cut], [f"{NAME}/1"]).to_dicts()
    assert make_run(row)["status"] == "model_error"
    assert "output_text" not in {step["type"] for step in make_run(row)["result"]}


def test_searches_that_were_not_run_are_no_calls():
    def tamper(messages):
        refused = [
            {"role": "assistant", "content": grammar.render_turn("More.", queries=["two"])},
            {"role": "tool", "content": grammar.render_notice("No more searches are allowed.")},
        ]
        broken = [
            {"role": "assistant", "content": "<search>oops</search>"},
            {"role": "tool", "content": grammar.render_notice("That turn was not valid.")},
        ]
        messages[2:2] = broken
        messages[-1:-1] = refused

    rollout = make_rollout(f"{NAME}/1", queries=(("one",),), tamper=tamper)
    (row,) = select([rollout], [f"{NAME}/1"]).to_dicts()
    calls = [step for step in make_run(row)["result"] if step["type"] == "tool_call"]
    assert [call["arguments"] for call in calls] == ['{"query": "one"}']
    assert "Doc 1" in calls[0]["output"]


def test_recall_calls_and_accuracy_are_means_over_all_queries():
    ids = [f"{NAME}/{key}" for key in ("12", "7", "30")]
    rows = select([OTHER, RIGHT, WRONG, OPEN], [*ids, "gaia/1"])
    assert rows["query_id"].to_list() == ["12", "7", "30"]
    evidence = {"7": {"d1", "d3", "d4"}, "12": {"d1"}, "30": {"d1", "d2"}, "99": {"d1"}}
    gold = {"7": {"d1"}, "12": {"d9", "d8"}, "30": {"d2"}}
    report = score_runs(rows, evidence, gold, PATHS)
    assert report["n"] == 3
    assert report["accuracy"] == {"em_strict": 0.333333, "em_normalised": 0.333333}
    assert report["completed"] == 0.666667
    assert report["search_calls"] == {"turns": 1.0, "queries": 1.333333}
    assert report["recall"] == pytest.approx((2 / 3 + 0 + 0) / 3, abs=1e-6)
    assert report["gold_recall"] == pytest.approx((1 + 1 / 2 + 0) / 3, abs=1e-6)
    assert [row["recall"] for row in report["per_query"]] == [0, 0.666667, 0]
    assert "gold_recall" not in score_runs(rows, evidence, None, PATHS)


def test_an_answer_of_a_run_that_is_not_completed_is_wrong():
    rows = select([make_rollout(f"{NAME}/1", stop="token_limit")], [f"{NAME}/1"])
    report = score_runs(rows, {"1": {"0"}}, None, PATHS)
    assert report["accuracy"] == {"em_strict": 0, "em_normalised": 0}
    assert (report["completed"], report["recall"]) == (0, 1)


def test_qrels_have_four_columns_and_irrelevant_documents_do_not_count(tmp_path):
    path = tmp_path / "qrels.txt"
    path.write_text("7 Q0 d1 1\n7\t0\td2\t2\n\n7 Q0 d3 0\n8 Q0 d1 0\n")
    assert read_qrels(path) == {"7": {"d1", "d2"}, "8": set()}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("7 Q0 d1 1\n7 d1 1\n", r"line 2: '7 d1 1' has 3 columns; give four"),
        ("7 Q0 d1 1 run\n", r"line 1: .* has 5 columns"),
        ("7 Q0 d1 yes\n", r"line 1: relevance 'yes' is no whole number"),
        ("\n", r"the file is empty"),
    ],
)
def test_a_fault_in_qrels_is_named(tmp_path, text, part):
    (tmp_path / "qrels.txt").write_text(text)
    with pytest.raises(InputError, match=part):
        read_qrels(tmp_path / "qrels.txt")


def test_ids_that_do_not_match_are_named():
    rows = select([RIGHT], [f"{NAME}/7"])
    for evidence in ({"8": {"d1"}}, {"7": set()}):
        with pytest.raises(InputError, match=r"evidence\.txt: no relevant document for query '7'"):
            score_runs(rows, evidence, None, PATHS)
    with pytest.raises(InputError, match=r"gold\.txt: no relevant document for query '7'"):
        score_runs(rows, {"7": {"d1"}}, {}, PATHS)
    with pytest.raises(InputError, match=r"no id begins with 'bcp/'; its benchmarks are browse"):
        select([RIGHT], [f"{NAME}/7"], "bcp")
    with pytest.raises(InputError, match=r"first without: id 'browsecomp/8'"):
        select([RIGHT], [f"{NAME}/7", f"{NAME}/8"])
    with pytest.raises(InputError, match=r"id 'browsecomp/12' is not in benchmarks\.json"):
        select([RIGHT, WRONG], [f"{NAME}/7"])
    again = {**RIGHT, "id": f"{NAME}/7#1"}
    with pytest.raises(InputError, match=r"has several predictions"):
        select([RIGHT, again], [f"{NAME}/7"])


def test_a_rewritten_folder_holds_the_present_runs_only(tmp_path):
    folder = tmp_path / "runs"
    write_runs(select([RIGHT, WRONG], [f"{NAME}/7", f"{NAME}/12"]), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["run_12.json", "run_7.json"]
    write_runs(select([RIGHT], [f"{NAME}/7"]), folder)
    assert [path.name for path in folder.iterdir()] == ["run_7.json"]
    bad = make_rollout(f"{NAME}/../x")
    with pytest.raises(InputError, match=r"query id '\.\./x' is no file name"):
        write_runs(select([bad], [f"{NAME}/../x"]), folder)
    assert [path.name for path in folder.iterdir()] == ["run_7.json"]


def test_script_writes_runs_and_report(tmp_path):
    schemas.write_table(
        make_predictions(RIGHT, WRONG, OTHER), tmp_path / "p.parquet", schemas.Predictions
    )
    rows = [
        {"id": key, "question": "What?", "golden_answers": ["Oslo"], "type": key.partition("/")[0]}
        for key in (f"{NAME}/7", f"{NAME}/12", "gaia/1")
    ]
    (tmp_path / "benchmarks.json").write_text(json.dumps(rows))
    (tmp_path / "evidence.txt").write_text("7 Q0 d1 1\n7 Q0 d5 1\n12 Q0 d9 1\n")
    (tmp_path / "gold.txt").write_text("7 Q0 d1 1\n")
    command = [
        "browsecomp",
        "--predictions", str(tmp_path / "p.parquet"),
        "--benchmarks", str(tmp_path / "benchmarks.json"),
        "--qrels", str(tmp_path / "evidence.txt"),
        "--out", str(tmp_path / "runs"),
        "--report", str(tmp_path / "report.json"),
    ]  # fmt: skip
    ended = run_script(*command)
    assert ended.returncode == 0, ended.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["n"], report["recall"]) == (2, 0.75)
    run = json.loads((tmp_path / "runs/run_7.json").read_text())
    assert run["query_id"] == "7" and run["result"][-1]["output"] == "Oslo"
    ended = run_script(*command, "--gold", tmp_path / "gold.txt")
    assert ended.returncode == 1 and "query '12'" in ended.stderr
    assert "Traceback" not in ended.stderr
