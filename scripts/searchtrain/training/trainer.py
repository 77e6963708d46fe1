"""Supervised fine-tuning by LLaMA-Factory: run it, collect the checkpoint.

The trainer works in a folder of its own, named by a fingerprint of all that goes in, so a run
that was interrupted goes on from its last saved state and a changed setting never mixes with it.
"""

import logging
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from searchtrain.config import Train
from searchtrain.core.errors import InputError, Interrupted, SearchTrainError
from searchtrain.core.files import (
    canonical_json,
    digest,
    hash_file,
    read_json,
    read_jsonl,
    replace_folder,
    write_json,
)
from searchtrain.data.lineage import hash_model, list_versions
from searchtrain.serving import process
from searchtrain.serving.gpu_lease import Lease
from searchtrain.serving.model_folder import link_model_folder
from searchtrain.training.recipe import render_recipe
from searchtrain.training.served import Options

logger = logging.getLogger(__name__)

STATE = "checkpoint-*"
TEMPLATE = ("tokenizer_config.json", "chat_template.jinja")
"""Where a base's chat template stands."""
LEFT = "left_out"
"""In the manifest of a checkpoint that was not trained."""
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


@dataclass(frozen=True)
class Training:
    """A training that runs: its `folder`, where the final model will be, and its log."""

    folder: Path
    log: Path
    _group: process.Group
    _parent: process.Parent
    _begun: float = field(default_factory=time.monotonic)

    def wait(self) -> None:
        """Until it ends. Raises SearchTrainError with the trainer's last words when it fails, and
        Interrupted when the process that started this one is gone."""
        while (status := self._group.poll()) is None:
            if self._parent.gone:
                raise Interrupted("training")
            time.sleep(process.POLL_S)
        if status:
            lines = self.log.read_text(encoding="utf-8").splitlines()
            tail = [line for line in lines if line.strip()][-3:]
            raise SearchTrainError(
                f"LLaMA-Factory ended with status {status}: {' | '.join(tail)}; see {self.log}"
            )
        logger.info("trained in %.0f s", time.monotonic() - self._begun)


@contextmanager
def start(
    dataset: Path,
    info: Path,
    base: Path,
    work: Path,
    settings: Train,
    lease: Lease,
    served: Options | None = None,
    *,
    preference: bool = False,
) -> Iterator[Training]:
    """Train in `work/<fingerprint>/`, going on where an earlier run of the same inputs stood.

    The trainer ends with the block, and leaves nothing if that raises InputError before a state was
    saved. `lease`: the devices of the run; they stay taken until the
    trainer is gone. `served`: of the student's server, with train.tokens served. `preference`: DPO
    on pairs.
    """
    recipe = render_recipe(settings.args, base, dataset, preference)
    if settings.processes == 1:
        recipe.pop("ddp_backend", None)  # with it the trainer looks for other processes
    files = [hash_file(dataset), hash_file(info), hash_model(base)]
    inputs = [*files, recipe, list_versions(), settings.processes, settings.attention]
    if served:
        inputs.append(asdict(served))
        inputs += [hash_file(file) for name in TEMPLATE for file in base.glob(name)]
    folder = work / digest(inputs)[:16]
    recipe["output_dir"] = str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    recipe_file = folder / "sft.yaml"
    recipe_file.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    if states := sorted(folder.glob(STATE)):
        logger.info("going on from %s", states[-1])
    command = build_command(recipe_file, settings.processes, settings.attention == "varlen")
    if served:
        command += ["--served", canonical_json(asdict(served))]
    environment = process.build_environment({**settings.env, **lease.variables})
    parent, log = process.Parent(), folder / "trainer.log"
    try:
        with (
            log.open("wb") as output,
            process.start_group(
                "training", command, environment, output, GRACE, lease.locks
            ) as group,
        ):
            yield Training(folder, log, group, parent)
    except InputError:
        # Data that were refused while it started; there is nothing to go on from.
        if not any(folder.glob(STATE)):
            shutil.rmtree(folder)
        raise


def publish(run_dir: Path, out: Path, facts: Mapping[str, Any]) -> None:
    """Copy the final model (no trainer state) to `out` and write its `manifest.json`.

    `facts` go into the manifest beside weights hash, package versions and loss curve.
    """
    with replace_folder(out) as partial:
        shutil.copytree(run_dir, partial, ignore=shutil.ignore_patterns(*LEFT_OUT))
        manifest = {
            "weights": hash_model(partial),
            "packages": list_versions(),
            **facts,
            "loss": read_loss(run_dir / "trainer_log.jsonl"),
        }
        write_json(manifest, partial / "manifest.json")


def leave_out(base: Path, out: Path) -> None:
    """Write a checkpoint that is the base itself, marked as one that there was no time for."""
    with replace_folder(out) as partial:
        link_model_folder(base, partial)
        write_json({"weights": hash_model(partial), LEFT: True}, partial / "manifest.json")


def is_left_out(checkpoint: Path) -> bool:
    """Whether a candidate was left out for want of time."""
    manifest = checkpoint / "manifest.json"
    return manifest.is_file() and bool(read_json(manifest).get(LEFT))


def read_loss(log: Path) -> list[dict[str, Any]]:
    """The loss curve from the trainer's log: one `{step, loss, lr}` per logged step."""
    curve: dict[int, dict[str, Any]] = {}
    for _, entry in read_jsonl(log):
        if "loss" in entry:
            step = entry["current_steps"]
            curve[step] = {"step": step, "loss": entry["loss"], "lr": entry.get("lr")}
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
    worker = [f"searchtrain.training.{'attention' if varlen else 'worker'}", str(recipe)]
    return [sys.executable, "-m", *(launcher if processes > 1 else ()), *worker]
