"""The script that exports SFT data, run on a folder of a test."""

import json

from helpers.scripts import run_script

LIMITS = {"max_turns": 4, "max_searches": 3}


def run_export(folder, out, *options, **config):
    return run_script(
        "sft_dataset",
        "--curated", folder / "curated.parquet",
        "--prompt", folder / "agent.jinja",
        "--out", folder / out / "sft_dataset.json",
        "--info", folder / out / "dataset_info.json",
        "--config", json.dumps({"predict": {"limits": LIMITS}, **config}), *options,
    )  # fmt: skip
