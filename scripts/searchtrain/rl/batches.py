"""The parts of a step's batch, made cheap: rows of like length together, nothing padded in vain.

TRL pads every row to the longest of the step and computes rows that teach nothing like any other;
with rollouts of one to six turns that is most of the work. Invariant: the parts' gradients add up
to what they did before.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

PROMPT = ("prompt_ids", "prompt_mask")


def pack_batches(parts: Sequence[Mapping[str, Any]], leave_out: bool) -> list[dict[str, Any]]:
    """Sort the rows of all parts by length and cut each part to its longest; as many parts again.

    `parts`: TRL's, of equal size: tensors of shape (rows,), (rows, 1), or (rows, tokens) padded to
    the right (`PROMPT`: to the left), and values that belong to no row. `leave_out`: rows without
    advantage count as empty, which is right when nothing but the advantage makes a gradient.
    """
    first = parts[0]
    rows = {
        name: torch.cat([part[name] for part in parts])
        for name, value in first.items()
        if isinstance(value, torch.Tensor) and value.dim()
    }
    rest = {name: value for name, value in first.items() if name not in rows}
    if leave_out:
        rows["completion_mask"] = rows["completion_mask"] * (rows["advantages"] != 0)[:, None]
    lengths = rows["completion_mask"].sum(1)
    prompts = rows["prompt_mask"].sum(1)
    width = rows["completion_mask"].shape[1]
    packed = []
    for chosen in torch.argsort(lengths, stable=True).chunk(len(parts)):
        longest = max(1, int(lengths[chosen].max()))
        prompt = int(prompts[chosen].max())
        part = dict(rest)
        for name, value in rows.items():
            value = value[chosen]
            if name in PROMPT:
                value = value[:, -prompt:]
            elif value.dim() > 1 and value.shape[1] == width:
                value = value[:, :longest]
            part[name] = value
        packed.append(part)
    return packed
