"""The mean of the weights of saved states, against one that is computed by hand."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from searchtrain.core.errors import InputError
from searchtrain.training.averaging import average_states, list_states


def write(folder, value, kind=torch.float32):
    folder.mkdir(parents=True)
    weights = {"a": torch.full((2, 3), value, dtype=kind), "b": torch.tensor([value], dtype=kind)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text("{}")
    return folder


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_mean_of_the_last_states_in_the_type_of_the_weights(tmp_path, kind):
    for step, value in ((900, 1.0), (1000, 2.0), (1100, 4.0)):
        write(tmp_path / f"run/checkpoint-{step}", value, kind)
    states = list_states(tmp_path / "run", 2)
    assert [state.name for state in states] == ["checkpoint-1000", "checkpoint-1100"]
    average_states(states, write(tmp_path / "model", 4.0, kind), tmp_path / "out")
    found = load_file(tmp_path / "out/model.safetensors")
    assert found["a"].dtype == kind and torch.equal(found["a"], torch.full((2, 3), 3.0, dtype=kind))
    assert (tmp_path / "out/config.json").exists()


def test_too_few_states_are_an_error_that_says_what_to_set(tmp_path):
    write(tmp_path / "run/checkpoint-5", 1.0)
    with pytest.raises(InputError, match="1 saved states where trials"):
        list_states(tmp_path / "run", 2)
