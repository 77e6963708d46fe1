"""The training stage: what it refuses, and how it starts the trainer."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import Qwen2Config

from searchtrain import training
from searchtrain.errors import InputError

ROOT = Path(__file__).parent.parent


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
        ({"neat_packing": False}, "train.args.neat_packing: False"),
        ({"per_device_train_batch_size": 2}, "train.args.per_device_train_batch_size: 2"),
    ],
)
def test_varlen_needs_one_packed_row_a_batch(change, said):
    args = {"neat_packing": True, "per_device_train_batch_size": 1}
    training.check_attention({"attention": "varlen", "args": args})
    training.check_attention({"attention": None, "args": {**args, **change}})
    with pytest.raises(InputError, match=said):
        training.check_attention({"attention": "varlen", "args": {**args, **change}})


def test_one_process_needs_no_launcher():
    recipe = Path("sft.yaml")
    alone = training.build_command(recipe, 1, varlen=True)
    assert alone == [sys.executable, "-m", "searchtrain.worker", "sft.yaml", "--varlen"]
    several = training.build_command(recipe, 8, varlen=False)
    assert several[:5] == [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "8"]
    assert several[-2:] == ["searchtrain.worker", "sft.yaml"]
