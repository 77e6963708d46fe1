"""What a training run is told: LLaMA-Factory's configuration, checked against the data.

Invariant: what the workflow depends on is set here and cannot be set otherwise.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from searchtrain.config import Train
from searchtrain.core.errors import InputError
from searchtrain.training.records import DATASET, PAIRS

logger = logging.getLogger(__name__)

OWNED = {
    "stage": "sft",
    "do_train": True,
    "dataset": DATASET,
    "train_on_prompt": False,
    "mask_history": False,
    "trust_remote_code": False,
    "overwrite_cache": True,
    # False is what lets the trainer go on from a saved state in its output folder.
    "overwrite_output_dir": False,
    "save_only_model": False,
    "report_to": "none",
}
"""Settings that the workflow depends on; `train.args` may not change them."""
PATHS = ("model_name_or_path", "dataset_dir", "output_dir")
ORDERED_STEPS = 4
"""Steps whose records are packed together. Rows drawn at random were then full to 0.86 at the
laptop's sizes and to 0.98 at those of eight GPUs; with one step 0.76 and 0.94, a thousand records
at a time 0.94 and 0.99."""


PREFERENCE = {"stage": "dpo", "dataset": PAIRS}
"""The same for DPO; LLaMA-Factory's own defaults are beta 0.1 and the sigmoid loss."""


def render_recipe(
    args: Mapping[str, Any], base: Path, dataset: Path, preference: bool = False
) -> dict[str, Any]:
    """LLaMA-Factory's configuration but for the folder of the run, which it determines.

    `preference`: DPO on pairs. Raises InputError when `args` sets what the workflow owns.
    """
    owned = sorted(set(args) & {*OWNED, *PATHS})
    if owned:
        raise InputError(
            f"train.args: {', '.join(owned)}: the workflow sets this itself; take it out"
        )
    told = {**OWNED, **PREFERENCE} if preference else OWNED
    return {"model_name_or_path": str(base), "dataset_dir": str(dataset.parent), **told, **args}


def check_lengths(lengths: Mapping[str, int], dataset: Path, settings: Train) -> None:
    """Check that hardly a record is longer than `cutoff_len`.

    The trainer cuts such a record silently, and what it cuts is the answer; with packing it leaves
    it out. `lengths`: as `parity.check_tokens` measures them. Raises InputError when more than
    `max_cut_share` of the records are too long.
    """
    cutoff = settings.args["cutoff_len"]
    logger.info("cutoff_len %d: %s", cutoff, lengths)
    long, records = lengths["longer_than_cutoff"], lengths["records"]
    if long > settings.max_cut_share * records:
        raise InputError(
            f"{dataset}: {long} of {records} records are longer than cutoff_len {cutoff}"
            f" (longest {lengths['longest']}) and would lose their answer; raise"
            " train.args.cutoff_len or train.max_cut_share"
        )


def keeps_order(settings: Train) -> bool:
    """Whether packing has an order of the records to keep."""
    args = settings.args
    packed = args.get("packing") or args.get("neat_packing")
    return bool(args.get("disable_shuffling") and packed)


def order_rows(settings: Train, lengths: Mapping[str, int]) -> Train:
    """The settings with which packing keeps the order of the records.

    LLaMA-Factory sorts the records of a preprocessing batch by length to pack them, a thousand by
    default: a batch becomes as large as what `ORDERED_STEPS` steps of the optimizer learn from.
    """
    args = settings.args
    rows = args.get("per_device_train_batch_size", 8) * args.get("gradient_accumulation_steps", 1)
    room = ORDERED_STEPS * settings.processes * rows * args["cutoff_len"]
    batch = max(1, room * lengths["records"] // lengths["tokens"])
    return settings.model_copy(update={"args": {"preprocessing_batch_size": batch, **args}})
