"""What a training run is told: LLaMA-Factory's configuration, checked against the data.

Invariant: what the workflow depends on is set here and cannot be set otherwise.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from searchtrain.core.errors import InputError
from searchtrain.core.files import read_json
from searchtrain.training.records import DATASET, tokenize_record

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


def render_recipe(args: Mapping[str, Any], base: Path, dataset: Path) -> dict[str, Any]:
    """LLaMA-Factory's configuration but for the folder of the run, which it determines.

    Raises InputError when `args` sets what the workflow owns.
    """
    owned = sorted(set(args) & {*OWNED, *PATHS})
    if owned:
        raise InputError(
            f"train.args: {', '.join(owned)}: the workflow sets this itself; take it out"
        )
    return {"model_name_or_path": str(base), "dataset_dir": str(dataset.parent), **OWNED, **args}


def check_lengths(dataset: Path, base: Path, cutoff: int, max_share: float) -> dict[str, int]:
    """Measure the records in tokens; returns `records`, `tokens`, `longest`, `longer_than_cutoff`.

    The trainer cuts a record at `cutoff` tokens, silently, and what it cuts is the answer. Raises
    InputError when more than `max_share` of the records are too long.
    """
    from transformers import AutoTokenizer  # slow to import

    tokenizer = AutoTokenizer.from_pretrained(base)
    if not tokenizer.chat_template:
        raise InputError(f"{base}: the tokenizer has no chat template; use an instruct model")
    records = read_json(dataset)
    lengths = [len(tokenize_record(record, tokenizer)) for record in records]
    long = sum(length > cutoff for length in lengths)
    facts = {
        "records": len(records),
        "tokens": sum(lengths),
        "longest": max(lengths),
        "longer_than_cutoff": long,
    }
    logger.info("cutoff_len %d: %s", cutoff, facts)
    if long > max_share * len(records):
        raise InputError(
            f"{dataset}: {long} of {len(records)} records are longer than cutoff_len {cutoff}"
            f" (longest {max(lengths)}) and would lose their answer; raise train.args.cutoff_len or"
            " train.max_cut_share"
        )
    return facts
