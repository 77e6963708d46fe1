"""The training set as LLaMA-Factory reads it."""

import json
from types import SimpleNamespace

import pytest

from helpers.conversations import make_student
from helpers.export import run_export
from helpers.rollouts import curate, make_rollout
from searchtrain.agent.formats import FORMATS
from searchtrain.core.errors import InputError
from searchtrain.data import schemas
from searchtrain.training import sharegpt
from searchtrain.training.records import list_messages, list_tools

STUDENT = make_student()


def make_records(curated, system, form="tags"):
    return sharegpt.make_records(curated, system, FORMATS[form], STUDENT)


def test_record_has_the_student_prompt_and_every_other_text_as_it_was():
    curated = curate(make_rollout(queries=(("one",), ("two", "three"))))
    (record,) = make_records(curated, "The student's prompt.")
    assert set(record) == {"conversations", "system"}
    assert record["system"] == "The student's prompt."
    messages = curated["messages"][0].to_list()
    assert [turn["value"] for turn in record["conversations"]] == [
        message["content"] for message in messages[1:]
    ]
    assert [turn["from"] for turn in record["conversations"]] == [
        "human", "gpt", "observation", "gpt", "observation", "gpt",
    ]  # fmt: skip
    assert "teacher" not in json.dumps(record)


@pytest.mark.parametrize(
    ("tamper", "part"),
    [
        (lambda messages: messages.pop(), "ends without an assistant turn"),
        (lambda messages: messages.pop(1), "message 1 has role 'assistant' where 'user' belongs"),
        (lambda messages: messages.pop(3), "message 3 has role 'assistant' where 'tool' belongs"),
    ],
)
def test_roles_that_do_not_alternate_are_an_error(tamper, part):
    curated = curate(make_rollout(tamper=tamper))
    with pytest.raises(InputError, match=f"rollout 'q1#0': .*{part}"):
        make_records(curated, "prompt")


def test_blank_prompt_is_an_error():
    with pytest.raises(InputError, match="prompt is blank"):
        make_records(curate(make_rollout()), " \n")


def test_llama_factory_reads_every_turn_and_the_prompt():
    converter = pytest.importorskip("llamafactory.data.converter")
    parser = pytest.importorskip("llamafactory.data.parser")
    record = make_records(curate(make_rollout()), "The student's prompt.")[0]
    entry = sharegpt.make_dataset_info("sft_dataset.json")["sft_dataset"]
    attributes = parser.DatasetAttr("file", entry["file_name"])
    attributes.join(entry)
    assert attributes.formatting == "sharegpt"
    read = converter.SharegptDatasetConverter(attributes, SimpleNamespace(media_dir=None))(record)
    assert read["_system"] == "The student's prompt."
    turns = read["_prompt"] + read["_response"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "observation", "assistant"]
    assert [turn["content"] for turn in turns] == [
        turn["value"] for turn in record["conversations"]
    ]


def test_script_writes_the_same_bytes_again_and_names_an_undefined_variable(tmp_path):
    schemas.write_table(curate(make_rollout()), tmp_path / "curated.parquet", schemas.Curated)
    (tmp_path / "agent.jinja").write_text("At most {{ max_turns }} turns.\n")
    for out in ("one", "two"):
        ended = run_export(tmp_path, out)
        assert ended.returncode == 0, ended.stderr
    first = (tmp_path / "one" / "sft_dataset.json").read_bytes()
    assert first == (tmp_path / "two" / "sft_dataset.json").read_bytes()
    assert json.loads(first)[0]["system"] == "At most 4 turns."
    info = json.loads((tmp_path / "one" / "dataset_info.json").read_text())
    assert info["sft_dataset"]["file_name"] == "sft_dataset.json"

    (tmp_path / "agent.jinja").write_text("At most {{ max_turn }} turns.\n")
    ended = run_export(tmp_path, "one")
    assert ended.returncode == 1
    assert "max_turn" in ended.stderr and "Traceback" not in ended.stderr
    assert (tmp_path / "one" / "sft_dataset.json").read_bytes() == first


def test_records_stand_in_the_order_of_the_curated_rows():
    curated = curate(make_rollout("b", answer="Bergen"), make_rollout("a", answer="Oslo"))
    records = make_records(curated, "p")
    answers = [record["conversations"][-1]["value"] for record in records]
    assert "Bergen" in answers[0] and "Oslo" in answers[1]


def test_a_growing_message_is_one_response():
    (record,) = make_records(curate(make_rollout()), "Search.", "search_r1")
    asked, said = record["conversations"]
    assert record["system"] == "" and (asked["from"], said["from"]) == ("human", "gpt")
    assert asked["value"].startswith("Search.") and "What is the capital?" in asked["value"]
    assert said["value"].count("<information>") == 1
    assert said["value"].endswith("<answer>Oslo</answer>")


def test_native_calls_are_turns_of_their_own_and_every_record_has_the_functions(tmp_path):
    curated = curate(make_rollout(queries=(("one", "two"),)))
    schemas.write_table(curated, tmp_path / "curated.parquet", schemas.Curated)
    (tmp_path / "agent.jinja").write_text("Search.")
    chats = tmp_path / "chats.json"
    chats.write_text(json.dumps([{"prompt": "Hi", "output": "Hello"}]))
    calling = {"enable-auto-tool-choice": True, "tool-call-parser": "hermes"}
    student = {"format": "tool_calls", "vllm": {"args": calling}}
    values = {"models": {"student": student}, "mix": {"ratio": 1.0}}
    ended = run_export(tmp_path, "out", "--mix", str(chats), **values)
    assert ended.returncode == 0, ended.stderr
    record, chat = json.loads((tmp_path / "out/sft_dataset.json").read_text())
    speakers = [turn["from"] for turn in record["conversations"]]
    assert speakers == ["human", "function_call", "observation", "gpt"]
    messages = list_messages(record)
    (call,) = messages[2]["tool_calls"]
    assert messages[2]["content"] == "I look it up."
    assert json.loads(call["function"]["arguments"]) == {"queries": ["one", "two"]}
    assert messages[3]["tool_call_id"] == call["id"]
    assert "tool_call_id" not in messages[1]
    (tool,) = list_tools(record)
    assert tool["function"]["name"] == call["function"]["name"]
    assert chat["tools"] == "" and list_tools(chat) == []
    info = json.loads((tmp_path / "out/dataset_info.json").read_text())["sft_dataset"]
    assert info["columns"]["tools"] == "tools"
