"""Pairs of a better and a worse turn, and the files that LLaMA-Factory's DPO reads."""

import json

import pytest

from helpers.conversations import QWEN25, make_student
from helpers.families import FAMILIES, write_tokenizer
from helpers.llama_factory import load_pairs
from helpers.rollouts import make_frame, make_rollout
from helpers.scripts import run_script
from searchtrain.agent import grammar
from searchtrain.agent.formats import FORMATS
from searchtrain.config import Curate, Preferences
from searchtrain.core.files import write_json
from searchtrain.curation.choice import make_acceptance
from searchtrain.data import schemas
from searchtrain.demo.base import CHAT_TEMPLATE
from searchtrain.training import preferences
from searchtrain.training.pairs import draw_pairs, find_pairs


def move(messages):
    """Passages on another city."""
    for message in messages:
        if message["role"] == grammar.OBSERVATION:
            message["content"] = message["content"].replace("Oslo", "Bergen")


GOOD = make_rollout(queries=(("capital of Norway",), ("founding of Oslo",)))
EARLY = make_rollout(number=1, queries=(), answer="Bergen", last="I guess.")
SAME = make_rollout(
    number=2, queries=GOOD["queries"], answer="Bergen", last="It says so.", think="I look around."
)
LONG = make_rollout(number=3, answer="The Kristiania", passage="It was Kristiania until 1925.")
MISSED = make_rollout(number=4, queries=(("cities",),), tamper=move, answer="Bergen", hits=[["7"]])
AGAIN = make_rollout(
    number=5, queries=(("capital of Norway",), ("Capital of Norway?",)), answer="Bergen",
    think="Once more.",
)  # fmt: skip
AGAIN["sources"] = [["1"], ["1"]]
GOOD["sources"] = SAME["sources"] = [["1"], ["2"]]
MISSED["sources"] = [["7"]]
ROLLOUTS = (GOOD, EARLY, SAME, LONG, MISSED, AGAIN)


def list_kinds(pairs):
    return [pair.kind for pair in pairs]


def find(*rollouts, **settings):
    accept = make_acceptance(Curate())
    return find_pairs(make_frame(*rollouts), Preferences(**settings), accept)


def test_each_kind_is_found_where_it_is_and_nowhere_else():
    pairs = find(*ROLLOUTS, per_question=1)
    assert list_kinds(pairs) == ["search", "answer", "form", "query", "repeat"]
    assert [pair.rollouts for pair in pairs] == [
        ("q1#0", "q1#1"), ("q1#0", "q1#2"), ("q1#3", "q1#3"), ("q1#0", "q1#4"), ("q1#0", "q1#5"),
    ]  # fmt: skip
    search, answer, form, query, repeat = pairs
    assert [message["role"] for message in search.prefix] == ["system", "user"]
    assert grammar.parse_turn(search.chosen).queries == ("capital of Norway",)
    assert grammar.parse_turn(search.rejected).answer == "Bergen"
    assert list(answer.prefix) == GOOD["messages"][:-1]
    assert grammar.parse_turn(answer.rejected).answer == "Bergen"
    assert grammar.parse_turn(form.chosen) == grammar.Turn("Now I know.", answer="Kristiania")
    assert form.rejected == LONG["messages"][-1]["content"]
    assert grammar.parse_turn(query.rejected).queries == ("cities",)
    assert list(repeat.prefix) == AGAIN["messages"][:4]
    assert grammar.parse_turn(repeat.chosen).queries == ("founding of Oslo",)
    hinted = [GOOD, *({**row, "wave": "hinted"} for row in ROLLOUTS[1:])]
    assert not find(*hinted)
    assert not find(GOOD) and not find(EARLY, MISSED, AGAIN, kinds=["search", "answer", "query"])


def test_no_pair_prefers_an_answer_that_nothing_read_supports_to_a_search():
    """A rollout that is right by luck, after passages without the answer."""
    lucky = make_rollout(queries=(("cities",),), tamper=move)
    again = make_rollout(number=1, queries=(("cities",), ("Cities",)), tamper=move, answer="No")
    lucky["sources"], again["sources"] = [["7"]], [["7"], ["7"]]
    accept = make_acceptance(Curate.parse({"rules": {"supported": None}}))
    assert accept(lucky)
    assert not find_pairs(make_frame(lucky, again), Preferences(), accept)
    read = make_rollout(queries=(("cities",),))
    read["sources"] = [["7"]]
    (pair,) = find_pairs(make_frame(read, again), Preferences(kinds=["repeat"]), accept)
    assert grammar.parse_turn(pair.chosen).answer == "Oslo"


def test_what_is_left_out_depends_on_seed_and_content_and_searches_come_first():
    questions = [
        {**row, "id": f"q{n}#{row['rollout']}", "question_id": f"q{n}"}
        for n in range(12)
        for row in ROLLOUTS
    ]
    pairs = find(*questions, per_question=1)
    assert len(pairs) == 60
    taken = draw_pairs(pairs, Preferences(max_pairs=30))
    assert len(taken) == 30 and list_kinds(taken).count("search") == 12
    assert [pairs.index(pair) for pair in taken] == sorted(map(pairs.index, taken))
    assert draw_pairs(pairs[::-1], Preferences(max_pairs=30)) == taken[::-1]
    assert draw_pairs(pairs, Preferences(max_pairs=30, seed=2)) != taken
    assert list_kinds(draw_pairs(pairs, Preferences(max_pairs=10))).count("search") == 5
    assert draw_pairs(pairs, Preferences(max_pairs=None)) == pairs


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A tokenizer with the laptop's chat template."""
    folder = tmp_path_factory.mktemp("base")
    write_tokenizer(QWEN25, folder, CHAT_TEMPLATE)
    return folder


@pytest.mark.parametrize("form", ["tags", "search_r1", "tool_calls"])
def test_llama_factory_reads_the_pairs_as_they_are_meant(base, tmp_path, form):
    pairs = find(*ROLLOUTS, per_question=1)
    records = preferences.make_records(pairs, "Search.", FORMATS[form], make_student())
    write_json(records, tmp_path / "preference_dataset.json")
    info = preferences.make_dataset_info("preference_dataset.json", form == "tool_calls")
    write_json(info, tmp_path / "dataset_info.json")
    read = load_pairs(tmp_path, base, FAMILIES[QWEN25].template)
    assert len(read) == len(pairs) == 5
    for pair, (prompt, chosen, rejected) in zip(pairs, read, strict=True):
        assert "Search." in prompt and "What is the capital?" in prompt
        assert "The teacher's prompt." not in prompt
        for text, turn in ((chosen, pair.chosen), (rejected, pair.rejected)):
            said = grammar.parse_turn(turn)
            assert said.think in text
            assert all(query in text for query in said.queries)
            assert said.answer is None or f"<answer>{said.answer}</answer>" in text
        assert prompt.count("<|im_start|>assistant") == 1 + (
            0 if form == "search_r1" else len(pair.prefix) // 2 - 1
        )


def test_the_script_writes_the_files_and_says_what_they_hold(tmp_path):
    schemas.write_table(
        make_frame(*ROLLOUTS), tmp_path / "trajectories.parquet", schemas.Trajectories
    )
    (tmp_path / "agent.jinja").write_text("Search.")

    def run(*options, **config):
        return run_script(
            "preferences",
            "--trajectories", tmp_path / "trajectories.parquet",
            "--prompt", tmp_path / "agent.jinja",
            "--out", tmp_path / "preference_dataset.json",
            "--info", tmp_path / "dataset_info.json",
            "--report", tmp_path / "preferences_report.json",
            "--config", json.dumps(config), *options,
        )  # fmt: skip

    ended = run(preferences={"per_question": 1, "kinds": ["search", "repeat"]})
    assert ended.returncode == 0, ended.stderr
    report = json.loads((tmp_path / "preferences_report.json").read_text())
    assert report["pairs"] == 2
    assert report["kinds"]["search"] == {
        "found": 1,
        "taken": 1,
        "mean_words": {"chosen": 7.0, "rejected": 3.0},
        "types": {"search over answer": 1},
    }
    assert report["kinds"]["repeat"]["types"] == {"search over search": 1}
    ended = run(curate={"rules": {"turns": 0}}, preferences={"kinds": ["search"]})
    assert ended.returncode == 1 and "no preference pair in 6 rollouts" in ended.stderr
