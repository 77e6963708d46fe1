"""The script that exports SFT data, run on a folder of a test."""

import json
import subprocess
import sys

from helpers.checkout import ROOT

LIMITS = {"max_turns": 4, "max_searches": 3}


def run_export(folder, out, *options, **config):
    return subprocess.run(
        [
            sys.executable, str(ROOT / "scripts" / "sft_dataset.py"),
            "--curated", str(folder / "curated.parquet"),
            "--prompt", str(folder / "agent.jinja"),
            "--out", str(folder / out / "sft_dataset.json"),
            "--info", str(folder / out / "dataset_info.json"),
            "--config", json.dumps({"predict": {"limits": LIMITS}, **config}), *options,
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
