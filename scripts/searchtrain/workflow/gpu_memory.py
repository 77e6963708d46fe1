"""What a model puts on each GPU that serves or trains it: rough figures, from its folder.

Rules of thumb, in GiB. Served: the weights in the served dtype. Trained with AdamW: weights,
gradients and two moments in single precision, 16 bytes a parameter (8 with `pure_bf16`), divided
among the GPUs by FSDP or ZeRO-3, and activations. Against the peaks in BENCHMARKS.md training comes
out within 10 % (`tests/workflow/test_gpu_plan.py`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from searchtrain.config import Config, Role, Student

GIB = 1 << 30
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "half": 2, "float": 4, "auto": 2}
KEPT_BYTES = 48
"""Of activations per token, layer and number of the hidden state, when all are kept."""
LOGIT_BYTES = 10
"""Of a token's logits per word of the vocabulary, unless Liger's fused loss never makes them."""
UTILISATION = 0.92
"""vLLM's default for gpu-memory-utilization."""
PARALLEL = ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size")


@dataclass(frozen=True, slots=True)
class Load:
    """What lies on one GPU, in GiB."""

    parts: Mapping[str, float]
    share: float
    """Of a card's memory that it may take."""
    remedy: str

    @property
    def total(self) -> float:
        """All parts."""
        return sum(self.parts.values())

    def find_fault(self, card: float) -> str:
        """Why it does not fit a card of so many GiB; empty if it does."""
        if self.total <= self.share * card:
            return ""
        parts = ", ".join(f"{name} {size:.0f}" for name, size in self.parts.items())
        return (
            f"about {self.total:.0f} GiB on each GPU ({parts}), more than {self.share * card:.0f}"
            f" of a card's {card:g}: {self.remedy}"
        )


def find_parameters(config: Config, model: str) -> float | None:
    """Parameters of a model: as `plan.billions` says, else by the weights in its folder."""
    if (given := config.plan.billions.get(Path(model).name)) is not None:
        return given * 1e9
    weights = sum(file.stat().st_size for file in Path(model).glob("*.safetensors"))
    shape = read_shape(model)
    dtype = str(shape.get("dtype") or shape.get("torch_dtype") or "auto")
    return weights / BYTES.get(dtype, 2) if weights else None


def read_shape(model: str) -> dict[str, Any]:
    """`config.json` of a model's folder; empty where there is none."""
    file = Path(model) / "config.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def count_split(section: Role | Student) -> int:
    """GPUs that one copy of a served model's weights is split over."""
    given = {**section.vllm.args, **section.vllm.tuning}
    return prod(int(given.get(name) or 1) for name in PARALLEL[:2])


def count_used(section: Role | Student) -> int:
    """GPUs that vLLM will use."""
    given = {**section.vllm.args, **section.vllm.tuning}
    return prod(int(given.get(name) or 1) for name in PARALLEL)


def measure_server(config: Config, section: Role | Student, model: str) -> Load | None:
    """The weights of a served model on one of its GPUs; None: of unknown size."""
    parameters = find_parameters(config, model)
    if parameters is None:
        return None
    given = {**section.vllm.args, **section.vllm.tuning}
    size = BYTES.get(str(given.get("dtype", "auto")), 2)
    if given.get("quantization") in ("fp8", "modelopt"):
        size = 1
    return Load(
        {"weights": parameters * size / count_split(section) / GIB},
        # The rest is for the cache of keys and values, without which nothing is served.
        0.9 * float(given.get("gpu-memory-utilization", UTILISATION)),
        "raise tensor-parallel-size and gpu, or serve it in half precision",
    )


def measure_training(config: Config) -> Load | None:
    """What SFT puts on each of its GPUs; None: the base model's size is not known."""
    train, args = config.train, config.train.args
    parameters = find_parameters(config, train.base)
    if parameters is None:
        return None
    shape = read_shape(train.base)
    sharded = bool(args.get("fsdp")) or "z3" in str(args.get("deepspeed", ""))
    state = parameters * (8 if args.get("pure_bf16") else 16)
    parts = {"weights and AdamW": state / (train.processes if sharded else 1) / GIB}
    if shape:
        layers, hidden = shape["num_hidden_layers"], shape["hidden_size"]
        vocabulary = shape["vocab_size"]
        tokens = args["cutoff_len"] * args.get("per_device_train_batch_size", 1)
        if sharded:
            # Two blocks, the embeddings and the head are whole on every GPU while they work.
            gathered = 2 * parameters / layers + 2 * vocabulary * hidden
            parts["gathered"] = 4 * gathered / GIB
        kept = KEPT_BYTES * layers
        if not args.get("disable_gradient_checkpointing"):
            kept = 2 * layers + KEPT_BYTES  # what enters each layer, and one layer made again
        logits = 0 if args.get("enable_liger_kernel") else LOGIT_BYTES * vocabulary
        parts["activations"] = tokens * (kept * hidden + logits) / GIB
    remedy = "more GPUs with fsdp: full_shard auto_wrap (config/scale/h200x8.yaml)"
    if sharded:
        remedy = "disable_gradient_checkpointing: false, a lower cutoff_len, or more GPUs"
    return Load(parts, 1.0, f"train.args: {remedy}")
