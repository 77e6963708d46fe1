"""The export as others read it: the `datasets` library, the hub's cards, OpenAI's types, ATIF."""

import json
from collections.abc import Iterable

import atif
import datasets
import polars as pl
import pytest
from huggingface_hub import DatasetCard
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam
from pydantic import TypeAdapter

from helpers.checkout import ROOT
from helpers.hostile import TERMINAL
from helpers.rollouts import make_frame, make_rollout
from helpers.scripts import run_script
from searchtrain.agent.grammar import render_notice
from searchtrain.config import Curate, Rules
from searchtrain.curation.choice import curate_rollouts
from searchtrain.data import schemas
from searchtrain.data.question_file import QUESTION

SETTINGS = {
    "data": {
        "train": "nq.jsonl",
        "corpus": "wiki.jsonl",
        "licenses": {"questions": "cc-by-sa-3.0"},
    },
    "models": {"teacher": {"price": {"prompt": 1_000_000, "completion": 1_000_000}}},
    "task": {"enforced": True, "teacher": "m", "seed_data_only": True},
}


def break_turn(messages):
    """A first turn that could not be read, and the notice on it."""
    messages[2:2] = [
        {"role": "assistant", "content": "I do not know the form."},
        {"role": "tool", "content": render_notice("That turn was not valid.")},
    ]


def make_tables():
    """One good rollout of two searches, one with a broken turn, one wrong and without a search."""
    good = make_rollout("q1", think=f"Look {TERMINAL}", queries=(("a", "b"), ("c",)),
                        hits=[["1", "2"], ["3"]])  # fmt: skip
    broken = make_rollout("q2", tamper=break_turn)
    broken |= {"turns": 3, "raw": ["<think>", "", ""]}
    wrong = make_rollout("q3", answer="Bergen", queries=())
    rows = make_frame(good, broken, wrong)
    rules = Rules(**dict.fromkeys(Rules.model_fields)).model_copy(update={"exact_match": True})
    return (rows, *curate_rollouts(rows, Curate(rules=rules)))


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """The folder that rule export makes."""
    folder = tmp_path_factory.mktemp("run")
    rows, curated, verdicts = make_tables()
    seeds = pl.DataFrame(
        [{"id": f"q{n}", "question": "What is the capital?", "golden_answers": ["Oslo"],
          "source": "test", "exclude_urls": []} for n in (1, 2, 3)], schema=QUESTION,
    )  # fmt: skip
    questions = seeds.with_columns(
        origin=pl.lit("seed"), vertices=pl.lit(0),
        levels=pl.lit([], dtype=pl.List(pl.List(pl.String))),
    ).cast({"vertices": pl.Int64})  # fmt: skip
    tables = {
        "trajectories": (rows, schemas.Trajectories),
        "curated": (curated, schemas.Curated),
        "verdicts": (verdicts, schemas.Verdicts),
        "questions": (questions, schemas.Questions),
    }
    options = []
    for name, (frame, table) in tables.items():
        schemas.write_table(frame, folder / name, table)
        options += [f"--{name}", folder / name]
    reports = {
        "seeds": {"rows_in": 9, "rows_out": 7, "ngram": 8, "reasons": {"ngram_in_test": 2}},
        "sampling": {"questions": {"after": 3}},
    }
    for name, report in reports.items():
        (folder / name).write_text(json.dumps(report))
        options += [f"--{name}", folder / name]
    ended = run_script("export", *options, "--prompt", ROOT / "config/prompts/agent.jinja",
                       "--out", folder / "export", "--config", json.dumps(SETTINGS))  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return folder / "export"


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_it_is_a_hugging_face_data_set(export, tmp_path):
    kept = datasets.load_dataset(str(export), cache_dir=str(tmp_path))["train"]
    assert kept["id"] == ["q1#0", "q2#0"] and kept["origin"] == ["seed", "seed"]
    roles = [message["role"] for message in kept[0]["messages"]]
    assert roles == ["system", *["user", "assistant"] * 3]
    assert TERMINAL in kept[0]["messages"][2]["content"]
    rollouts = datasets.load_dataset(str(export), "trajectories", cache_dir=str(tmp_path))["train"]
    assert rollouts["kept"] == [True, True, False]
    assert rollouts[2]["verdicts"] == [
        {"rule": "exact_match", "passed": False, "value": 0.0, "threshold": 1.0}
    ]
    assert rollouts[0]["queries"] == [["a", "b"], ["c"]]


def test_its_card_says_what_is_known_and_what_is_not(export):
    card = DatasetCard.load(export / "README.md")
    assert card.data.license == "unknown" and card.data.size_categories == ["n<1K"]
    assert [each["config_name"] for each in card.data.configs] == ["default", "trajectories"]
    text = " ".join(card.text.split())
    for said in (
        "2 conversations", "3 rollouts", "- questions: cc-by-sa-3.0", "- corpus: not stated",
        "questions of the seed file 9", "words in common with a question of test 2",
        "exact_match 1.000 1 1", "these are 6.00 dollars, 3.0000 a conversation",
        "- teacher: m", "- seed_data_only: True", "as the model wrote it 2",
    ):  # fmt: skip
        assert said in text


@pytest.mark.parametrize("form", ["openai", "tool_calls"])
def test_its_chats_are_openais(export, form):
    chats = read_lines(export / form / "train.jsonl")
    assert len(chats) == 2
    for chat in chats:
        messages = chat["messages"]
        for message in TypeAdapter(list[ChatCompletionMessageParam]).validate_python(messages):
            for part in message.values():
                # Pydantic checks an Iterable's items only when they are taken.
                if isinstance(part, Iterable) and not isinstance(part, str):
                    list(part)
        assert messages[-1]["role"] == "assistant" and "Oslo" in messages[-1]["content"]
        asked = [call["id"] for each in messages for call in each.get("tool_calls", ())]
        answered = [each["tool_call_id"] for each in messages if each["role"] == "tool"]
        assert asked == answered and len(set(asked)) == len(asked)
        assert bool(asked) == (form == "tool_calls")
    if form == "tool_calls":
        assert len(asked) == 1 and "not valid" in chats[1]["messages"][3]["content"]
        TypeAdapter(list[ChatCompletionFunctionToolParam]).validate_python(chats[0]["tools"])
        call = chats[0]["messages"][2]["tool_calls"][0]["function"]
        assert json.loads(call["arguments"]) == {"queries": ["a", "b"]}


def test_its_trajectories_are_atifs(export):
    """Against an implementation of the specification (1.8) that is not ours."""
    documents = read_lines(export / "atif" / "trajectories.jsonl")
    good, broken, wrong = map(atif.Trajectory.model_validate, documents)
    assert [step.source for step in good.steps] == ["system", "user", *["agent"] * 3]
    searched, answered = good.steps[2], good.steps[-1]
    assert searched.reasoning_content.startswith("Look") and searched.message == ""
    assert searched.tool_calls[0].arguments == {"queries": ["a", "b"]}
    result = searched.observation.results[0]
    assert result.source_call_id == searched.tool_calls[0].tool_call_id
    assert result.content.startswith("Query: a\nDoc 1")
    assert result.extra == {"retrieved_ids": ["1", "2"], "shown_ids": ["1"]}
    assert (answered.message, answered.reasoning_content) == ("Oslo", "Now I know.")
    unread = broken.steps[2]
    assert unread.tool_calls is None and unread.extra == {"raw": "<think>"}
    assert "not valid" in unread.observation.results[0].content
    assert wrong.extra["kept"] is False and wrong.extra["rules"]["exact_match"]["value"] == 0
    assert good.final_metrics.total_steps == 5
