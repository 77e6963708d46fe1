"""Supervised fine-tuning by LLaMA-Factory: render its YAML, run it, collect the checkpoint.

The trainer works in a folder of its own, named by a fingerprint of all that goes in, so a run
that was interrupted goes on from its last saved state and a changed setting never mixes with it.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from searchtrain import config
from searchtrain.core.errors import InputError, Interrupted, SearchTrainError
from searchtrain.core.files import digest, hash_file, read_json, write_json
from searchtrain.data.lineage import hash_model, list_versions
from searchtrain.serving import watchdog

logger = logging.getLogger(__name__)

OWNED = {
    "stage": "sft",
    "do_train": True,
    "dataset": "sft_dataset",
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
ROLES = {"human": "user", "gpt": "assistant", "observation": "tool"}
STATE = "checkpoint-*"
GRACE = 10.0
"""Seconds that the trainer gets to end when it is told to."""
LEFT_OUT = (
    STATE,
    "trainer_*",
    "trainer.log",
    "training_args.bin",
    "runs",
    "README.md",
    "*_results.json",
)
"""What the trainer writes beside the model."""


def render_recipe(args: Mapping[str, Any], base: Path, dataset: Path) -> dict[str, Any]:
    """LLaMA-Factory's configuration but for the folder of the run, which it determines.

    Raises InputError when `args` sets what the workflow owns.
    """
    owned = sorted(set(args) & {*OWNED, *PATHS})
    if owned:
        raise InputError(
            f"train.args: {', '.join(owned)}: the workflow sets this itself; take it out"
        )
    return {
        "model_name_or_path": str(base),
        "dataset_dir": str(dataset.parent),
        **OWNED,
        **args,
    }


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
    logger.info(
        "%d records, %d tokens, longest %d, %d longer than cutoff_len %d",
        len(records), sum(lengths), max(lengths), long, cutoff,
    )  # fmt: skip
    if long > max_share * len(records):
        raise InputError(
            f"{dataset}: {long} of {len(records)} records are longer than cutoff_len {cutoff}"
            f" (longest {max(lengths)}) and would lose their answer; raise train.args.cutoff_len or"
            " train.max_cut_share"
        )
    return {
        "records": len(records),
        "tokens": sum(lengths),
        "longest": max(lengths),
        "longer_than_cutoff": long,
    }


def list_messages(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """A sharegpt record as chat messages, system prompt first.

    A record without one has no system message: LLaMA-Factory's template then writes the model's
    own default prompt, and so does the chat template when the message is left out, but not when it
    is there and empty.
    """
    system = [{"role": "system", "content": record["system"]}] if record["system"] else []
    return system + [
        {"role": ROLES[turn["from"]], "content": turn["value"]} for turn in record["conversations"]
    ]


def tokenize_record(record: Mapping[str, Any], tokenizer: Any) -> list[int]:
    """Token ids of a sharegpt record as the served chat template renders it."""
    text = tokenizer.apply_chat_template(list_messages(record), tokenize=False)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def train(
    dataset: Path,
    info: Path,
    base: Path,
    work: Path,
    settings: config.Train,
    env: Mapping[str, str],
) -> Path:
    """Train in `work/<fingerprint>/`, going on where an earlier run of the same inputs stood.

    Returns the folder with the final model. Raises
    SearchTrainError with the trainer's last words when it fails.
    """
    recipe = render_recipe(settings.args, base, dataset)
    if settings.processes == 1:
        recipe.pop("ddp_backend", None)  # with it the trainer looks for other processes
    inputs = [hash_file(dataset), hash_file(info), hash_model(base), recipe, list_versions()]
    inputs += [settings.processes, settings.attention]
    run_dir = work / digest(inputs)[:16]
    recipe["output_dir"] = str(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    recipe_file = run_dir / "sft.yaml"
    recipe_file.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    if states := sorted(run_dir.glob(STATE)):
        logger.info("going on from %s", states[-1])
    begun = time.monotonic()
    command = build_command(recipe_file, settings.processes, settings.attention == "varlen")
    _run_trainer(command, run_dir / "trainer.log", env)
    logger.info("trained in %.0f s", time.monotonic() - begun)
    return run_dir


def publish(run_dir: Path, out: Path, facts: Mapping[str, Any]) -> None:
    """Copy the final model (no trainer state) to `out` and write its `manifest.json`.

    `facts` go into the manifest beside weights hash, package versions and loss curve.
    """
    if out.exists():
        shutil.rmtree(out)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(
        run_dir, partial,
        ignore=shutil.ignore_patterns(*LEFT_OUT),
    )  # fmt: skip
    manifest = {
        "weights": hash_model(partial),
        "packages": list_versions(),
        **facts,
        "loss": read_loss(run_dir / "trainer_log.jsonl"),
    }
    write_json(manifest, partial / "manifest.json")
    partial.replace(out)


def read_loss(log: Path) -> list[dict[str, float]]:
    """The loss curve from the trainer's log: one `{step, loss, lr}` per logged step."""
    curve: dict[int, dict[str, float]] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if "loss" in entry:
            curve[entry["current_steps"]] = {
                "step": entry["current_steps"],
                "loss": entry["loss"],
                "lr": entry.get("lr"),
            }
    return [curve[step] for step in sorted(curve)]


def build_command(recipe: Path, processes: int, varlen: bool) -> list[str]:
    """The trainer's command line: `processes` workers on this machine, one per GPU."""
    launcher = [
        "torch.distributed.run",
        *("--nproc-per-node", str(processes)),
        # Any free port of the loopback interface.
        *("--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1"),
        "--module",
    ]
    worker = ["searchtrain.training.worker", str(recipe), *["--varlen"] * varlen]
    return [sys.executable, "-m", *(launcher if processes > 1 else ()), *worker]


def _run_trainer(command: list[str], log: Path, env: Mapping[str, str]) -> None:
    """Run the trainer in a process group of its own that dies with this process."""
    library = str(Path(__file__).resolve().parents[2])
    paths = filter(None, (library, env.get("PYTHONPATH")))
    env = {**env, "PYTHONPATH": os.pathsep.join(paths)}
    parent = os.getppid()
    guard = watchdog.start_watchdog(GRACE)
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, env=env, start_new_session=True
        )
    try:
        watchdog.inform_watchdog(guard, process.pid)
        while (status := process.poll()) is None and os.getppid() == parent:
            time.sleep(0.2)
    finally:
        watchdog.stop_group(process.pid, GRACE, process)
        guard.communicate()
    if status is None:
        raise Interrupted("training")
    if status:
        tail = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip()][-3:]
        raise SearchTrainError(
            f"LLaMA-Factory ended with status {status}: {' | '.join(tail)}; see {log}"
        )
