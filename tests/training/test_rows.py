"""Rows that teach reading and answering: what they hold, what has loss, and how they are drawn."""

import asyncio
import json

import pytest

from helpers.conversations import CURATED, QWEN25, SYSTEM, make_record, make_student
from helpers.export import run_export
from helpers.families import FAMILIES, write_tokenizer
from helpers.llama_factory import load_learnt
from helpers.rollouts import curate, make_rollout
from searchtrain.agent import grammar
from searchtrain.agent.loop import Attempt, Harness, Policy
from searchtrain.agent.reader import list_passages
from searchtrain.agent.retrieve_read import read_once
from searchtrain.agent.trace import Trace
from searchtrain.config import Limits, Rows
from searchtrain.core.errors import InputError
from searchtrain.core.files import write_json
from searchtrain.data import schemas
from searchtrain.demo.base import CHAT_TEMPLATE
from searchtrain.models.model import Completion
from searchtrain.training import parity, processor, recipe, rows, sharegpt
from searchtrain.training.served import read_options

CAPITAL = {"id": "1", "contents": '"Oslo (city)"\nIt is the capital.\nIts harbour is large.'}
BERGEN = {"id": "2", "contents": '"Bergen"\nIt is a city.'}
EMPTY = {"id": "3", "contents": '"Nothing"\n'}


def make_searching(passages, queries=(("one",), ("two",))):
    """A curated rollout whose every search returned the same passages."""
    row = make_rollout(queries=queries)
    for message in row["messages"]:
        if message["role"] == grammar.OBSERVATION:
            message["content"] = grammar.render_observation([("q", passages)] * 2, 2000)
    return row


def test_a_reader_row_is_what_a_reader_of_those_passages_is_asked():
    """Each passage once, with those that say nothing on the question."""
    curated = curate(make_searching([CAPITAL, BERGEN]))
    (row,) = rows.make_reader_rows(curated, "Read.", Rows(reader=1), make_student())
    asked = []

    class Model:
        role = make_student()

        async def complete(self, messages, seed):
            asked.extend(messages)
            return Completion("Oslo", "stop", 1, 1, cached=False)

    class Library:
        async def search(self, queries, topk, exclude=()):
            return [[CAPITAL, BERGEN]]

    question = curated["question"][0]
    attempt = Attempt("q1", question, ("Oslo",), "test", (), 0, 1)
    policy = Policy(Model(), Harness("Read.", "", Limits()), read_once)
    answered = asyncio.run(read_once(attempt, policy, Library(), Trace(question, "Read.")))
    assert answered == "answered"
    assert [each["content"] for each in asked] == [
        row["system"],
        row["conversations"][0]["value"],
    ]
    assert row["conversations"][1] == {"from": "gpt", "value": "Oslo"}


def test_passages_are_read_back_from_observations_as_far_as_they_were_shown():
    row = make_searching([CAPITAL, BERGEN])
    assert [each["contents"] for each in list_passages(row["messages"])] == [
        CAPITAL["contents"],
        BERGEN["contents"],
    ]
    notice = {"role": "tool", "content": "<information>\nQuery: x\nNo passage was found.\n"}
    cut = {"role": "tool", "content": '<information>\nQuery: x\nDoc 1 (Title: "Os\n</information>'}
    assert list_passages([notice, cut, {"role": "user", "content": "Doc 1 (Title: a) b"}]) == []
    assert list_passages(make_searching([EMPTY])["messages"]) == []


def test_a_rollout_that_read_nothing_has_no_reader_row():
    curated = curate(make_rollout("q1", queries=()), make_rollout("q2"))
    made = rows.make_reader_rows(curated, "Read.", Rows(reader=1), make_student())
    assert len(made) == 1


def test_how_many_rows_there_are_and_which_depends_on_share_seed_and_content():
    records = [{"conversations": [], "system": str(number)} for number in range(40)]

    def draw(share, seed=1, given=records):
        made = rows.make_answer_rows(given, Rows(answers=share, seed=seed))
        assert all(row["trained"] == "last" for row in made)
        return [{name: row[name] for name in ("conversations", "system")} for row in made]

    assert draw(0) == [] and draw(1) == records
    half = draw(0.5)
    assert len(half) == 20 and half != draw(0.5, seed=2)
    assert draw(0.5, given=records[::-1]) == half[::-1]
    assert draw(2.5) == records * 2 + half
    with pytest.raises(InputError, match=r"rows\.answers: -1"):
        Rows.parse({"answers": -1}, "rows")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A tokenizer with the laptop's chat template."""
    folder = tmp_path_factory.mktemp("base")
    write_tokenizer(QWEN25, folder, CHAT_TEMPLATE)
    return folder


@pytest.fixture
def install(monkeypatch):
    """What a worker does first, undone behind the test."""
    kinds = (processor.converter.SharegptDatasetConverter, processor.SupervisedDatasetProcessor)
    monkeypatch.setattr(kinds[0], "__call__", kinds[0].__call__)
    monkeypatch.setattr(kinds[1], "_encode_data_example", kinds[1]._encode_data_example)
    monkeypatch.setattr(kinds[1], "served", None, raising=False)
    return processor.install


def write_records(folder, form):
    """A record, its answer row and a reader row; returns the paths."""
    student = make_student()
    record = make_record(form, student)
    answers = rows.make_answer_rows([record], Rows(answers=1))
    read = rows.make_reader_rows(CURATED, "Read.", Rows(reader=1), student)
    records = [record, *answers, *read]
    for name, value in (("trained", "all"), ("tools", "")):
        if any(name in each for each in records):
            records = rows.fill_column(records, name, value)
    data, info = folder / "sft_dataset.json", folder / "dataset_info.json"
    write_json(records, data)
    write_json(sharegpt.make_dataset_info(data.name, "tools" in records[0]), info)
    return data, info


CASES = [
    ("tags", "template"), ("tags", "served"), ("tool_calls", "served"), ("search_r1", "served"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "tokens"), CASES)
def test_llama_factory_trains_an_answer_row_on_its_last_turn_alone(
    base, tmp_path, install, form, tokens
):
    data, info = write_records(tmp_path, form)
    options = read_options(make_student(), form)
    served = options if tokens == "served" else None
    template = FAMILIES[QWEN25].template
    told = recipe.render_recipe({"template": template, "cutoff_len": 4000}, base, data)
    assert parity.check_tokens(data, info, told, options, served)["compared"] == 3
    install(served)
    (whole, text), (last, same), (read, asked) = load_learnt(tmp_path, base, template)
    assert len(whole) == 3 and last == whole[-1:] and same == text
    assert last[0].endswith("<answer>Oslo</answer><|im_end|>\n")
    assert read == ["Oslo<|im_end|>\n"]
    assert "Kristiania" in asked and SYSTEM not in asked


def test_packing_keeps_what_has_loss(base, tmp_path, install):
    write_records(tmp_path, "tags")
    install(None)
    packed = {"neat_packing": True, "packing": True, "cutoff_len": 2000}
    ((learnt, _),) = load_learnt(tmp_path, base, FAMILIES[QWEN25].template, **packed)
    assert sum("<answer>Oslo</answer>" in each for each in learnt) == 2
    assert sum("<search>" in each for each in learnt) == 2


def test_a_marked_record_that_is_trained_on_as_a_whole_is_named(base, tmp_path, monkeypatch):
    """What LLaMA-Factory without our processor would do."""
    data, info = write_records(tmp_path, "tags")
    options = read_options(make_student(), "tags")
    told = recipe.render_recipe({"template": "qwen", "cutoff_len": 4000}, base, data)
    monkeypatch.setattr(processor, "is_last_trained", lambda record: False)
    fault = r"record 2: turn 1: '.* has loss and is not the student's"
    with pytest.raises(InputError, match=fault):
        parity.check_tokens(data, info, told, options, None)


def test_the_script_adds_the_rows_and_counts_them(tmp_path):
    frame = curate(*(make_rollout(f"q{number}", asked=f"Capital {number}?") for number in range(8)))
    schemas.write_table(frame, tmp_path / "curated.parquet", schemas.Curated)
    (tmp_path / "agent.jinja").write_text("Search.")
    (tmp_path / "read.jinja").write_text("Read.")
    options = ["--read-prompt", tmp_path / "read.jinja", "--report", tmp_path / "report.json"]
    ended = run_export(tmp_path, "out", *options, rows={"reader": 0.5, "answers": 1.5})
    assert ended.returncode == 0, ended.stderr
    records = json.loads((tmp_path / "out/sft_dataset.json").read_text())
    assert [record["trained"] for record in records] == ["all"] * 8 + ["last"] * 12 + ["all"] * 4
    assert [record["system"] for record in records[-5:]] == ["Search.", *["Read."] * 4]
    questions = {record["conversations"][0]["value"] for record in records[8:16]}
    assert len(questions) == 8
    origins = json.loads((tmp_path / "report.json").read_text())["origins"]
    counts = {name: part["records"] for name, part in origins.items()}
    assert counts == {"search": 8, "answers": 12, "reader": 4}
    ended = run_export(tmp_path, "reader", *options, rows={"reader": 1})
    assert ended.returncode == 0, ended.stderr
    records = json.loads((tmp_path / "reader/sft_dataset.json").read_text())
    assert len(records) == 16 and all("trained" not in record for record in records)
