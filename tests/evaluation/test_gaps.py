"""Every wrong answer has one cause: on cases worked out by hand, and on rows drawn at random."""

import json
import random

import polars as pl
import pytest

from helpers.rollouts import make_frame, make_rollout
from helpers.scripts import run_script
from searchtrain.agent import grammar
from searchtrain.data import schemas
from searchtrain.evaluation.gaps import CAUSES, trace_gaps
from searchtrain.evaluation.hops import count_hops
from searchtrain.evaluation.scores import add_scores, score_answers

ELSEWHERE = "Bergen is a city in Norway."
NEVER = {"queries": (), "hits": []}


def trace(*rollouts, corpus=None):
    return trace_gaps({"": make_frame(*rollouts)}, corpus)[""]


def judge(question):
    """A question of yes or no."""
    return {**question, "golden_answers": ["no"]}


@pytest.mark.parametrize(
    ("rollout", "cause"),
    [
        (make_rollout(answer="oslo "), ""),
        (make_rollout(answer="oslo", **NEVER), ""),
        (make_rollout(answer="Oslo."), "form"),
        (make_rollout(answer="It is Oslo", stop="forced_answer"), "form"),
        (make_rollout(answer="It is Oslo", **NEVER), "form"),
        (make_rollout(answer="", stop="turn_limit"), "stopping"),
        (make_rollout(answer="", stop="model_error", **NEVER), "stopping"),
        (make_rollout(answer="Bergen", stop="forced_answer"), "stopping"),
        (make_rollout(answer="Bergen", **NEVER), "stopping"),
        (make_rollout(answer="Bergen", passage=ELSEWHERE, asked="Oslo?"), "reading"),
        (make_rollout(answer="Bergen"), "reading"),
        (judge(make_rollout(answer="yes")), "reading"),
        (judge(make_rollout(answer="No, it is not")), "reading"),
        (judge(make_rollout(answer="no")), ""),
    ],
)
def test_the_first_cause_that_holds_is_the_one(rollout, cause):
    assert trace(rollout)["cause"].to_list() == [cause]


def see(title, passage, query="What?"):
    """Make the observations of a rollout show this passage alone."""

    def tamper(messages):
        found = [(query, [{"contents": f'"{title}"\n{passage}'}])]
        for message in messages:
            if message["role"] == "tool":
                message["content"] = grammar.render_observation(found, 2000)

    return tamper


@pytest.mark.parametrize(
    ("tamper", "read"),
    [
        (see("Bergen", ELSEWHERE), False),
        (see("Bergen", ELSEWHERE, query="Oslo"), False),  # the query is no passage
        (see("Oslo", "A city."), True),  # a title is part of one
        (see("Norway", "Its capital is\nOSLO, in the south."), True),
        (see("Kristiania", "A city."), True),  # any golden answer
        (see("Oslofjord", "Water."), False),  # whole words
    ],
)
def test_what_was_read_are_the_passages_and_no_more(tamper, read):
    row = trace(make_rollout(answer="Rome", tamper=tamper)).row(0, named=True)
    assert row["read"] is read
    assert row["cause"] == ("reading" if read else "retrieval")


def test_passages_in_the_question_of_retrieve_then_read_were_read():
    def ask(passages):
        def tamper(messages):
            text = f"{passages}\n\nQuestion: What is the capital?\nAnswer:"
            messages[:] = [messages[0], {"role": "user", "content": text}, messages[-1]]

        return make_rollout(answer="Rome", tamper=tamper)

    rows = trace(ask('"Norway"\nIts capital is Oslo.'), ask('"Bergen"\nA city.'))
    assert rows["read"].to_list() == [True, False]


def test_what_was_retrieved_is_looked_up_in_the_corpus(tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    passages = {"1": '"Bergen"\nA city.', "2": '"Norway"\nIts capital is Oslo.', "3": '"Rome"\nX.'}
    corpus.write_text(
        "".join(json.dumps({"id": key, "contents": text, "links": ["1"]}) + "\n"
                for key, text in passages.items())
    )  # fmt: skip
    hidden = see("Bergen", "A city.")
    rollouts = [
        make_rollout("shown", answer="Rome", hits=[["2"]]),
        make_rollout("cut", answer="Rome", hits=[["1", "2"]], tamper=hidden),
        make_rollout("missed", answer="Rome", hits=[["1", "3"]], tamper=hidden),
        make_rollout("unknown", answer="Rome", hits=[["9"]], tamper=hidden),
        judge(make_rollout("judgement", answer="yes", hits=[["2"]])),
    ]
    rows = trace(*rollouts, corpus=corpus)
    assert rows["retrieved"].to_list() == [True, True, False, False, None]
    assert rows["read"].to_list() == [True, False, False, False, None]
    assert rows["cause"].to_list() == ["reading", *["retrieval"] * 3, "reading"]
    # Nothing is known of a part of them only: the share would be that of what was read.
    assert trace(*rollouts)["retrieved"].to_list() == [None] * 5


def test_the_causes_add_up_to_what_strict_exact_match_lacks():
    draw = random.Random(7)
    rollouts = []
    for number in range(400):
        searched = draw.random() < 0.8
        rollouts.append(
            make_rollout(
                f"q{number}",
                answer=draw.choice(["Oslo", "oslo", "Oslo.", "in Oslo", "Bergen", ""]),
                stop=draw.choice(["answered", "answered", "forced_answer", "turn_limit"]),
                queries=(("one", "two"),) if searched else (),
                hits=[["1"]] if searched else [],
                tamper=draw.choice([None, see("Bergen", ELSEWHERE)]),
            )
        )
    frame = add_scores(trace(*rollouts)).with_columns(
        type=pl.Series(draw.choices(["a", "b", None], k=400)), hops=pl.lit(None, pl.Int64)
    )
    scores = score_answers(frame)
    for part in (scores, *scores["by_type"].values()):
        right = round(part["em_strict"] * part["n"])
        gaps = part["gaps"]
        assert set(gaps["causes"]) == set(CAUSES) and min(gaps["causes"].values()) > 0
        assert right + sum(gaps["causes"].values()) == part["n"]
        assert sum(gaps["gains"].values()) == pytest.approx(1 - part["em_strict"], abs=1e-5)
        assert sum(gaps["forms"].values()) == gaps["causes"]["form"]
    assert scores["gaps"]["mean_calls"] == pytest.approx(2 * frame["searches"].mean())
    without = frame.filter((pl.col("searches") == 0) & (pl.col("answer") != "")).height
    assert scores["gaps"]["without_search"] == without / 400


@pytest.mark.parametrize(
    ("kind", "key", "hops"),
    [
        ("single_hop", "x", 1),
        ("three_hop", "x", 3),
        ("comparison", "x", 2),
        ("Bridge-comparison", "x", 4),
        ("2-hop", "x", 2),
        (None, "2hop__150763_14904", 2),
        (None, "musique/4hop2__1_2_3_4", 4),
        ("musique", "musique/3hop1__1_2_3", 3),
        ("hotpotqa", "5a77ec115542992a6e59dff7", None),
        (None, "q2hop", None),
        ("shopping", "x", None),
    ],
)
def test_hops_are_read_from_the_type_or_the_id(kind, key, hops):
    assert count_hops(kind, key) == hops


def test_the_yield_counts_rollouts_and_questions_by_type(tmp_path):
    rollouts = [
        make_rollout("a", 0), make_rollout("a", 1, answer="Oslo."),
        make_rollout("b", 0, answer="Rome"), make_rollout("b", 1, answer="", stop="turn_limit"),
        make_rollout("c", 0), make_rollout("c", 1),
    ]  # fmt: skip
    path = tmp_path / "trajectories.parquet"
    schemas.write_table(make_frame(*rollouts), path, schemas.Trajectories)
    (tmp_path / "types.json").write_text('{"a": "two_hop", "b": "two_hop", "c": "single_hop"}')
    config = {"trajectories": {"limits": {"topk": 3}, "sampling": {"temperature": 0.9}}}
    ended = run_script(
        "yields", "--trajectories", path, "--types", tmp_path / "types.json",
        "--out", tmp_path / "yield.json", "--config", json.dumps(config),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found = json.loads((tmp_path / "yield.json").read_text())
    assert (found["rollouts"], found["questions"], found["em_strict"]) == (6, 3, 0.5)
    assert found["solved"] == 0.666667
    two = found["by_type"]["two_hop"]
    assert (two["em_strict"], two["em_normalised"], two["solved"]) == (0.25, 0.5, 0.5)
    assert two["gaps"]["causes"] == {"form": 1, "stopping": 1, "retrieval": 0, "reading": 1}
    assert found["by_hops"]["1"]["em_strict"] == 1 and found["by_source"]["test"]["rollouts"] == 6
    assert found["conditions"]["topk"] == 3
    assert found["conditions"]["sampling"]["temperature"] == 0.9
    assert found["conditions"]["models"] == [{"model": "m", "revision": "r"}]
    assert "two_hop" in ended.stderr and "top 3" in ended.stderr
