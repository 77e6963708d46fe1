"""The training stage: what it refuses, and how it starts the trainer."""

import json
import sys
from pathlib import Path

import pytest
from transformers import Qwen2Config

from searchtrain import training
from searchtrain.errors import InputError


def test_a_model_folder_without_a_tokenizer_is_named(tmp_path):
    Qwen2Config(hidden_size=32, num_attention_heads=2).save_pretrained(tmp_path)
    dataset = tmp_path / "sft_dataset.json"
    dataset.write_text(json.dumps([{"system": "", "conversations": []}]))
    with pytest.raises(InputError, match="train.base: .* no tokenizer in this folder") as caught:
        training.check_lengths(dataset, tmp_path, 100, 0.0)
    assert str(tmp_path) in str(caught.value) and "tokenizer.json" in str(caught.value)


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
