"""Each curation rule on a rollout that it must keep and one that it must drop; then the choice."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from searchtrain import protocol, schemas
from searchtrain.curation import (
    RULES,
    CurateSettings,
    curate_rollouts,
    holds_phrase,
    judge_rollouts,
)
from searchtrain.errors import InputError

ROOT = Path(__file__).parent.parent
ALL = {
    "answered": True,
    "unforced": True,
    "exact_match": True,
    "valid_grammar": True,
    "supported": True,
    "no_repeated_query": True,
    "turn_words": 20,
    "turns": 4,
    "min_searches": 1,
}
OSLO = "Oslo is the capital of Norway, founded in 1,040."


def make_rollout(
    question="q1", number=0, *, answer="Oslo", queries=(("capital of Norway",),), passage=OSLO,
    think="I look it up.", stop="answered", tamper=None,
):  # fmt: skip
    """One row of `schemas.Trajectories`; `tamper` edits the messages."""
    messages = [
        {"role": "system", "content": "The teacher's prompt."},
        {"role": "user", "content": "What is the capital?"},
    ]
    for turn in queries:
        found = [(query, [{"contents": f'"Oslo"\n{passage}'}]) for query in turn]
        messages.append({"role": "assistant", "content": protocol.render_turn(think, queries=turn)})
        messages.append({"role": "tool", "content": protocol.render_observation(found, 2000)})
    if answer:
        final = protocol.render_turn("Now I know.", answer=answer)
        messages.append({"role": "assistant", "content": final})
    if tamper:
        tamper(messages)
    return {
        "id": f"{question}#{number}",
        "question_id": question,
        "rollout": number,
        "question": "What is the capital?",
        "golden_answers": ["Oslo", "Kristiania"],
        "source": "test",
        "messages": messages,
        "answer": answer,
        "stop_reason": stop,
        "error": "",
        "turns": len(queries) + 1,
        "searches": len(queries),
        "queries": [list(turn) for turn in queries],
        "retrieved_ids": [["1"] for _ in queries],
        "sources": [["1"] for _ in queries],
        "fallbacks": 0,
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "lineage": {"model": "m", "revision": "r", "prompt": "p", "seed": 1},
    }


def make_frame(*rollouts):
    return pl.DataFrame(list(rollouts), schema=schemas.empty_table(schemas.Trajectories).schema)


def judge(rollout, **rules):
    row = judge_rollouts(make_frame(rollout), rules).row(0, named=True)
    return {name: (row[name], row[f"{name}_value"]) for name in rules}


def break_tag(messages):
    messages[-1]["content"] = messages[-1]["content"].replace("</think>", "")


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({}, set()),
        ({"answer": "KRISTIANIA", "passage": "Once Kristiania."}, set()),
        ({"answer": "", "stop": "turn_limit"},
         {"answered", "exact_match", "valid_grammar", "supported"}),
        ({"stop": "forced_answer"}, {"unforced"}),
        ({"answer": "Oslo."}, {"exact_match"}),
        ({"answer": "Bergen"}, {"exact_match", "supported"}),
        ({"tamper": break_tag}, {"valid_grammar"}),
        ({"passage": "Osloans live there.", "answer": "Kristiania"}, {"supported"}),
        ({"queries": ()}, {"supported", "min_searches"}),
        ({"queries": (("capital of Norway",), ("Capital  of norway?",))}, {"no_repeated_query"}),
        ({"queries": (("one", "one"),)}, {"no_repeated_query"}),
        ({"think": "word " * 21}, {"turn_words"}),
        ({"think": "word " * 20}, set()),
        ({"queries": (("a",), ("b",), ("c",), ("d",))}, {"turns"}),
    ],
)  # fmt: skip
def test_each_rule_drops_what_it_is_for_and_nothing_else(change, failed):
    verdicts = judge(make_rollout(**change), **ALL)
    assert {name for name, (passed, _) in verdicts.items() if not passed} == failed


def test_every_rule_is_covered_above():
    assert set(ALL) == set(RULES)


def test_verdict_says_what_was_measured():
    verdicts = judge(make_rollout(tamper=break_tag), **ALL)
    assert verdicts["valid_grammar"] == (False, "no_think")
    assert verdicts["turns"] == (True, "2")
    assert verdicts["answered"] == (True, "answered")


@pytest.mark.parametrize(
    ("text", "phrase", "holds"),
    [
        ("founded in 1,040.", "1040", True),
        ("The Lord of\n the  Rings", "lord of rings", True),
        ("U.S. Navy", "US", True),
        ("Osloans", "Oslo", False),
        ("york, new", "new york", False),
        ("the end", "the", True),
        ("end", "the", False),
        ("+++ and -", "+++", True),
        ("", "Oslo", False),
        ("Oslo", "", False),
        ("S\u00e3o\u00a0Paulo", "s\u00e3o paulo", True),
    ],
)
def test_support_is_by_whole_words_without_case_punctuation_and_articles(text, phrase, holds):
    assert holds_phrase(text, phrase) is holds


def test_what_the_observation_adds_itself_supports_nothing():
    echo = make_rollout(answer="Bergen", queries=(("is Bergen the capital",),))
    assert judge(echo, supported=True)["supported"] == (False, "not found")
    assert judge(make_rollout(answer="1"), supported=True)["supported"][0] is False
    assert judge(make_rollout(answer="information"), supported=True)["supported"][0] is False


def test_title_supports_and_a_judgement_needs_a_search_only():
    title = make_rollout(answer="Oslo", passage="The capital.")
    assert judge(title, supported=True)["supported"] == (True, "found")
    assert judge(make_rollout(answer="Yes"), supported=True)["supported"][0] is True
    assert judge(make_rollout(answer="Yes", queries=()), supported=True)["supported"][0] is False


def test_best_rollout_has_fewest_searches_then_words_then_number():
    two = (("one",), ("two",))
    rollouts = make_frame(
        make_rollout("q2", 0, queries=two),
        make_rollout("q1", 0, queries=two, think="Hm."),
        make_rollout("q1", 1, think="I look it up now, and more."),
        make_rollout("q1", 2),
        make_rollout("q1", 3),
        make_rollout("q1", 4, answer="Bergen"),
        make_rollout("q3", 0, answer="Bergen"),
    )
    curated, verdicts = curate_rollouts(rollouts, CurateSettings(rules=ALL))
    assert curated["id"].to_list() == ["q2#0", "q1#2"]
    assert curated["difficulty"].to_list() == [1.0, 0.8]
    assert curated["rank"].to_list() == [0, 0]
    assert verdicts.height == 7 * len(ALL)
    assert set(verdicts.filter("kept")["id"]) == {"q2#0", "q1#2"}
    curated, _ = curate_rollouts(rollouts, CurateSettings(rules=ALL, per_question=2))
    assert curated.select("id", "rank").rows() == [("q2#0", 0), ("q1#2", 0), ("q1#3", 1)]


def test_rule_that_is_off_judges_nothing():
    rules = {"answered": True, "exact_match": False, "supported": None}
    curated, verdicts = curate_rollouts(
        make_frame(make_rollout(answer="Bergen")), CurateSettings(rules=rules)
    )
    assert verdicts["rule"].to_list() == ["answered"]
    assert curated["difficulty"].to_list() == [0.0]


def test_without_rules_the_best_rollout_is_kept():
    curated, verdicts = curate_rollouts(make_frame(make_rollout()), CurateSettings())
    assert (curated.height, verdicts.height) == (1, 0)


def test_funnel_shows_what_a_rule_alone_drops(caplog):
    caplog.set_level("INFO")
    rollouts = make_frame(
        make_rollout("q1"),
        make_rollout("q2", answer="Oslo."),
        make_rollout("q3", answer="Bergen"),
    )
    curate_rollouts(rollouts, CurateSettings(rules={"exact_match": True, "supported": True}))
    lines = [line.split() for line in caplog.text.splitlines()]
    assert ["rollouts", "-", "-", "3", "3"] in lines
    assert ["exact_match", "2", "1", "1", "1"] in lines
    assert ["supported", "1", "0", "1", "1"] in lines


def test_nothing_left_says_which_rule_dropped_how_many():
    rollouts = make_frame(make_rollout(answer="Oslo."), make_rollout(number=1, answer="Bergen"))
    with pytest.raises(InputError, match=r"no rollout of 2 .*exact_match 2, .*supported 1"):
        curate_rollouts(rollouts, CurateSettings(rules=ALL))


@pytest.mark.parametrize(
    ("rules", "part"),
    [
        ({"exact": True}, r"curate\.rules\.exact: unknown rule; known are answered"),
        ({"turns": True}, r"curate\.rules\.turns: True is not a number"),
        ({"turns": -1}, r"curate\.rules\.turns: -1"),
        ({"answered": 3}, r"curate\.rules\.answered: 3 is not true"),
    ],
)
def test_wrong_rule_is_named(rules, part):
    with pytest.raises(InputError, match=part):
        CurateSettings(rules=rules)


def run_curate(folder, config):
    return subprocess.run(
        [
            sys.executable, str(ROOT / "scripts" / "curate.py"),
            "--trajectories", str(folder / "trajectories.parquet"),
            "--out", str(folder / "curated.parquet"),
            "--verdicts", str(folder / "curation.parquet"),
            "--config", json.dumps(config),
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip


def test_script_writes_both_tables_and_a_fault_leaves_them_alone(tmp_path):
    rollouts = make_frame(make_rollout(), make_rollout(number=1, answer="Bergen"))
    schemas.write_table(rollouts, tmp_path / "trajectories.parquet", schemas.Trajectories)
    ended = run_curate(tmp_path, {"rules": ALL, "per_question": 1})
    assert ended.returncode == 0, ended.stderr
    curated = schemas.read_table(tmp_path / "curated.parquet", schemas.Curated)
    assert curated["id"].to_list() == ["q1#0"]
    verdicts = schemas.read_table(tmp_path / "curation.parquet", schemas.Verdicts)
    assert verdicts.height == 2 * len(ALL)
    before = (tmp_path / "curated.parquet").read_bytes()
    ended = run_curate(tmp_path, {"rules": {"min_searches": 9}})
    assert ended.returncode == 1
    assert "min_searches 2" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "curated.parquet").read_bytes() == before
