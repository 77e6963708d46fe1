"""The training stage: what it refuses, and how it starts the trainer."""

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import Qwen2Config

from helpers.conversations import make_student
from helpers.rollouts import make_frame, make_rollout
from helpers.worlds import WORLD, write
from searchtrain.agent.formats import FORMATS
from searchtrain.config import Train, World
from searchtrain.core.errors import InputError
from searchtrain.core.files import write_json
from searchtrain.demo import world
from searchtrain.serving.gpu_lease import Lease
from searchtrain.training import sharegpt, trainer

ROOT = Path(__file__).parents[2]
WEIGHTS = "model.safetensors"


def test_a_model_folder_without_a_tokenizer_is_named_and_nothing_is_written(tmp_path):
    base, out = tmp_path / "base", tmp_path / "checkpoint"
    Qwen2Config(hidden_size=32, num_attention_heads=2).save_pretrained(base)
    out.mkdir()
    (out / "manifest.json").write_text("earlier")
    options = {"--dataset": "d", "--info": "i", "--base": base, "--work": tmp_path, "--out": out}
    options["--config"] = "{}"
    ended = subprocess.run(
        [sys.executable, ROOT / "scripts/checkpoint.py", *itertools.chain(*options.items())],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert ended.returncode == 1
    assert f"train.base: {base}: no tokenizer in this folder (tokenizer.json" in ended.stdout
    assert (out / "manifest.json").read_text() == "earlier"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"neat_packing": False}, "train.args: .*neat_packing must be True .*not False"),
        (
            {"per_device_train_batch_size": 2},
            "train.args: .*per_device_train_batch_size must be 1 .*not 2",
        ),
    ],
)
def test_varlen_needs_one_packed_row_a_batch(change, said):
    args = {"neat_packing": True, "per_device_train_batch_size": 1}
    assert Train.parse({"attention": "varlen", "args": args}).attention == "varlen"
    assert Train.parse({"attention": None, "args": {**args, **change}}).attention is None
    with pytest.raises(InputError, match=said):
        Train.parse({"attention": "varlen", "args": {**args, **change}}, "train")


def test_one_process_needs_no_launcher():
    recipe = Path("sft.yaml")
    alone = trainer.build_command(recipe, 1, varlen=True)
    assert alone == [sys.executable, "-m", "searchtrain.training.attention", "sft.yaml"]
    several = trainer.build_command(recipe, 8, varlen=False)
    assert several[:5] == [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "8"]
    assert several[-2:] == ["searchtrain.training.worker", "sft.yaml"]


def test_sharded_training_learns_the_same_and_saves_the_whole_model(tmp_path, monkeypatch):
    """FSDP as the scale file sets it up, on two processes of a CPU."""
    world.write_world(tmp_path, World(**WORLD))
    base = write(tmp_path, tmp_path / "base", tied=False)
    rollouts = [make_rollout(f"q{i}", asked=f"What is capital number {i}?") for i in range(8)]
    data, info = tmp_path / "sft_dataset.json", tmp_path / "dataset_info.json"
    write_records(make_frame(*rollouts), "tags", data, info)

    laptop, large = read_train("config/config.yaml"), read_train("config/scale/h200x8.yaml")
    few = {"max_steps": 3, "warmup_steps": 1, "logging_steps": 1, "use_muon": False}
    whole = {**laptop, "args": {**laptop["args"], **few, "save_strategy": "no"}}
    fsdp = {key: large["args"][key] for key in ("fsdp", "fsdp_config", "save_strategy")}
    sharded = {**whole, "args": {**whole["args"], **fsdp}}
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def train(values, **env):
        settings = Train(**{**values, "env": {**laptop["env"], **env}})
        work = tmp_path / ("sharded" if env else "whole")
        with trainer.start(data, info, base, work, settings, Lease({}, ())) as training:
            training.wait()
        return load_file(training.folder / WEIGHTS)

    before = load_file(base / WEIGHTS)
    expected = train(whole)

    build = trainer.build_command
    worker = {"searchtrain.training.worker": "helpers.fsdp_worker"}
    monkeypatch.setattr(
        trainer, "build_command", lambda *args: [worker.get(part, part) for part in build(*args)]
    )
    kind = large["env"]["FSDP_STATE_DICT_TYPE"]
    saved = train(sharded, FSDP_STATE_DICT_TYPE=kind, PYTHONPATH=str(ROOT / "tests"))
    assert saved.keys() == before.keys()
    for name, weights in saved.items():
        torch.testing.assert_close(weights, expected[name])
        assert not torch.equal(weights, before[name]), f"{name} has not learned"


def test_a_growing_message_is_trained_on_without_what_the_environment_wrote(tmp_path):
    world.write_world(tmp_path, World(**WORLD))
    base = write(tmp_path, tmp_path / "base")
    data, info = tmp_path / "sft_dataset.json", tmp_path / "dataset_info.json"
    rollouts = [make_rollout(f"q{i}", asked=f"What is capital number {i}?") for i in range(8)]
    write_records(make_frame(*rollouts), "search_r1", data, info)
    few = {"max_steps": 2, "warmup_steps": 1, "logging_steps": 1, "save_strategy": "no"}

    def train(tokens):
        config = {
            "models": {"student": {"format": "search_r1"}},
            "train": {"tokens": tokens, "processes": 1, "args": few},
        }
        options = {"--dataset": data, "--info": info, "--base": base, "--work": tmp_path}
        options |= {"--out": tmp_path / "checkpoint", "--config": json.dumps(config)}
        return subprocess.run(
            [sys.executable, ROOT / "scripts/checkpoint.py", *itertools.chain(*options.items())],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    ended = train("template")
    assert ended.returncode == 1 and not list(tmp_path.glob(".partial/train/*"))
    fault = r"record 1: turn 1: '.*<information>.* has loss and is not the student's; set train"
    assert re.search(fault, ended.stdout), ended.stdout
    ended = train("served")
    assert ended.returncode == 0, ended.stdout
    manifest = json.loads((tmp_path / "checkpoint/manifest.json").read_text())
    assert manifest["compared"] == 8 and len(manifest["loss"]) == 2
    (log,) = tmp_path.glob(".partial/train/*/trainer.log")
    said = log.read_text()
    shown = said[said.index("\ninputs:\n") : said.index("\nlabel_ids:\n")]
    labels = said[said.index("\nlabels:\n") :].partition("<|im_end|>")[0]
    assert "<information>" in shown and "<information>" not in labels
    assert labels.count("<think>") == 2 and labels.endswith("</answer>")


def write_records(frame, form, data, info):
    records = sharegpt.make_records(frame, "Answer by searching.", FORMATS[form], make_student())
    write_json(records, data)
    write_json(sharegpt.make_dataset_info(data.name), info)


def read_train(name):
    return yaml.safe_load((ROOT / name).read_text())["train"]
