"""The tiny base model that GRPO's tests draw from."""

import pytest

from helpers.worlds import CONFIG, WORLD
from searchtrain.demo import base, world


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grpo")
    world.write_world(folder, WORLD)
    base.write_base(folder / "model", folder / "passages.jsonl", folder / "train.json", CONFIG)
    return folder / "model"


@pytest.fixture(scope="module")
def tokenizer(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)
