"""The tiny base model that GRPO's tests draw from."""

import pytest

from helpers.worlds import WORLD, write
from searchtrain.config import World
from searchtrain.demo import world


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grpo")
    world.write_world(folder, World(**WORLD))
    write(folder, folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def tokenizer(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)
