"""The mean of the weights of several states of one training run.

Averaging the last checkpoints (Vaswani et al. 2017; model soups, Wortsman et al. 2022) costs no
training. Invariant: sums are made in single precision, and the mean has the type of the weights.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from searchtrain.core.errors import InputError

WEIGHTS = "*.safetensors"


def list_states(run: Path, count: int) -> list[Path]:
    """The last `count` saved states of a run, the oldest first.

    Raises InputError when there are fewer: states that were deleted, or never saved.
    """
    states = sorted(run.glob("checkpoint-*"), key=lambda state: int(state.name.rpartition("-")[2]))
    if len(states) < count:
        raise InputError(
            f"{run}: {len(states)} saved states where trials.average asks for {count}: set"
            " train.args.save_strategy, save_steps and save_total_limit so that they are kept, or"
            " delete the checkpoint of the first candidate to train it again"
        )
    return states[-count:]


def average_states(states: Sequence[Path], model: Path, out: Path) -> None:
    """Write the model folder `out`: `model` with the mean of the states' weights.

    `states`, `model`: folders whose safetensors files have the same names and tensors. Raises
    InputError naming what differs.
    """
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    shutil.copytree(model, out, ignore=shutil.ignore_patterns(WEIGHTS, "manifest.json"))
    files = sorted(file.name for file in model.glob(WEIGHTS))
    for state in states:
        if sorted(file.name for file in state.glob(WEIGHTS)) != files:
            raise InputError(f"{state}: has other weight files than {model}; train again")
    for name in files:
        mean: dict[str, torch.Tensor] = {}
        kinds: dict[str, torch.dtype] = {}
        for state in states:
            with safe_open(state / name, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (it is no mapping)
                    tensor = file.get_tensor(key)
                    kinds[key] = tensor.dtype
                    mean[key] = mean.get(key, 0) + tensor.float() / len(states)
        weights = {key: tensor.to(kinds[key]).contiguous() for key, tensor in mean.items()}
        save_file(weights, out / name, metadata={"format": "pt"})
