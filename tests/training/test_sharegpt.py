"""The training set as LLaMA-Factory reads it."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_curation import make_frame, make_rollout

from searchtrain.config import Curate, Rules
from searchtrain.core.errors import InputError
from searchtrain.curation.choice import curate_rollouts
from searchtrain.data import schemas
from searchtrain.training import sharegpt

ROOT = Path(__file__).parents[2]
LIMITS = {"max_turns": 4, "max_searches": 3}


def curate(*rollouts):
    return curate_rollouts(make_frame(*rollouts), Curate(rules=dict.fromkeys(Rules.model_fields)))[
        0
    ]


def test_record_has_the_student_prompt_and_every_other_text_as_it_was():
    curated = curate(make_rollout(queries=(("one",), ("two", "three"))))
    (record,) = sharegpt.make_records(curated, "The student's prompt.")
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
        sharegpt.make_records(curated, "prompt")


def test_blank_prompt_is_an_error():
    with pytest.raises(InputError, match="prompt is blank"):
        sharegpt.make_records(curate(make_rollout()), " \n")


def test_llama_factory_reads_every_turn_and_the_prompt():
    converter = pytest.importorskip("llamafactory.data.converter")
    parser = pytest.importorskip("llamafactory.data.parser")
    record = sharegpt.make_records(curate(make_rollout()), "The student's prompt.")[0]
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


def run_export(folder, out, *options, **config):
    return subprocess.run(
        [
            sys.executable, str(ROOT / "scripts" / "sft_dataset.py"),
            "--curated", str(folder / "curated.parquet"),
            "--prompt", str(folder / "agent.jinja"),
            "--out", str(folder / out / "sft_dataset.json"),
            "--info", str(folder / out / "dataset_info.json"),
            "--config", json.dumps({"limits": LIMITS, **config}), *options,
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip


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
    records = sharegpt.make_records(curated, "p")
    answers = [record["conversations"][-1]["value"] for record in records]
    assert "Bergen" in answers[0] and "Oslo" in answers[1]
