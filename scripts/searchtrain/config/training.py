"""Settings of training: SFT, its rounds, and GRPO."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from searchtrain.config.models import Sampling
from searchtrain.config.section import Section, runtime, setting, wiring
from searchtrain.config.values import (
    AS_WRITTEN,
    Amount,
    Count,
    Environment,
    Natural,
    Positive,
    Share,
    Text,
    TopP,
)

ARGS: dict[str, Any] = {
    "template": "qwen",
    "finetuning_type": "full",
    "flash_attn": "sdpa",
    "cutoff_len": 1280,
    "neat_packing": True,
    "preprocessing_num_workers": 1,
    "dataloader_num_workers": 0,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "disable_gradient_checkpointing": True,
    "use_muon": True,
    "learning_rate": 1.0e-2,
    "adam_beta2": 0.99,
    "weight_decay": 0.2,
    "lr_scheduler_type": "linear",
    "warmup_steps": 100,
    "max_steps": 1500,
    "bf16": False,
    "fp16": False,
    "use_cpu": True,
    "ddp_backend": "gloo",
    "logging_steps": 20,
    "save_strategy": "steps",
    "save_steps": 400,
    "save_total_limit": 1,
    "seed": 42,
}
"""The laptop's arguments of LLaMA-Factory."""


NEEDED_ARGS = {"template": (str, "text"), "cutoff_len": (int, "a whole number of tokens")}
"""What of them the workflow itself reads."""
SHORTEST = 16
"""Least cutoff_len, in tokens."""
VARLEN_ARGS = {"neat_packing": True, "per_device_train_batch_size": 1}
"""What attention varlen needs."""


class Train(Section):
    """Supervised fine-tuning by LLaMA-Factory."""

    base: Text = wiring(
        "<results>/world/base",
        "folder of the model to start from; the laptop's is made by rule `base`",
    )
    max_cut_share: Share = setting(
        0.0, "of the records that may be longer than cutoff_len (they lose their answer)"
    )
    threads: Count = runtime(2, "cores that the rule claims")
    gpu: Natural = runtime(0, "GPUs that the rule claims")
    processes: Count = setting(
        2,
        "One process per GPU; on a CPU of one thread each: threads that share busy cores are far"
        " slower.",
    )
    attention: Literal["varlen"] | None = setting(
        "varlen",
        "varlen: packed records are kept apart by their lengths (args: neat_packing, one row a"
        " batch), on a GPU with PyTorch's own kernel of FlashAttention-2; null: by what"
        " args.flash_attn says, a mask of tokens x tokens.",
    )
    tokens: Literal["template", "served"] = setting(
        "template",
        "what a record's tokens are. template: those of LLaMA-Factory's args.template; served:"
        " those of the base's own chat template, with loss on what the student writes alone, which"
        " fits more bases (Qwen3, Llama) and is needed by format search_r1. Either way a sample is"
        " compared with what will be served before the training begins.",
    )
    env: Environment = setting(
        {"OMP_NUM_THREADS": "1", "ACCELERATE_TORCH_DEVICE": "cpu"},
        "Environment variables; null takes one away. Without a device by name, states saved by two"
        " processes on a CPU cannot be loaded again.",
    )
    args: dict[str, Any] = setting(
        ARGS,
        "Passed to LLaMA-Factory as they are; its documentation explains them.",
        notes={
            "neat_packing": "several records in one row",
            "cutoff_len": "tokens of a row, and of the longest record",
        },
    )

    @field_validator("args")
    @classmethod
    def _check_args(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        for name, (kind, allowed) in NEEDED_ARGS.items():
            if type(value.get(name)) is not kind:
                raise ValueError(f"{name} must be {allowed}, not {value.get(name)!r}")
        if value["cutoff_len"] < SHORTEST:
            raise ValueError(f"cutoff_len must be at least {SHORTEST}, not {value['cutoff_len']}")
        if info.data.get("attention") == "varlen":  # it reads one packed row at a time
            for name, needed in VARLEN_ARGS.items():
                if value.get(name) != needed:
                    raise ValueError(
                        f"{name} must be {needed} with attention varlen, not {value.get(name)}"
                    )
        return value


class Rounds(Section):
    """SFT in rounds: from the second on the student of the round before rolls out, the same
    curation keeps what is good, and training goes on from that student."""

    count: Count = wiring(1)
    questions: Count | None = setting(1500, "drawn for each later round, or null for all")
    rollouts: Count = setting(2, "per question")
    seed: Natural = setting(2)
    sampling: Sampling = setting(
        Sampling(temperature=0.8, top_p=0.95, max_tokens=128), reader="role"
    )
    data: Literal["all", "own"] = wiring(
        "all", "a round learns from what was kept in all rounds so far; or own"
    )
    base: Literal["previous", "first"] = wiring(
        "previous", "a round goes on from the student before it; or first: from train.base"
    )
    args: dict[str, Any] = setting(
        {"max_steps": 600, "learning_rate": 1.0e-3, "warmup_steps": 50},
        "changes to train.args",
        reader="checkpoint",
    )


class Grpo(Section):
    """GRPO (TRL) on top of the SFT checkpoint: target results/grpo/test.json. Its rollouts have the
    limits of the student's answers (predict.limits). In brackets InfoSeeker's."""

    python: Text = runtime(
        ".venv-trl/bin/python", "TRL needs an environment of its own; with conda: python"
    )
    threads: Count = runtime(1, "cores that the rule claims, and threads that compute")
    gpu: Natural = runtime(0, "GPUs that the rule claims")
    steps: Count = setting(100, "[200]")
    prompts_per_step: Count = setting(16, "[64]")
    group_size: int = setting(8, "rollouts of one prompt, compared with each other [5]", ge=2)
    temperature: Annotated[float, Field(gt=0, le=2), AS_WRITTEN] = setting(0.8, "[0.8]")
    top_p: TopP = setting(
        1.0,
        "[0.95] Below 1 vLLM's log-probabilities are those after the cut, the trainer's those"
        " before: a rollout then counts the less the longer it is (0.0025 at 500 tokens, by"
        " calculation).",
    )
    max_new_tokens: Count = setting(96, "per turn [768]")
    learning_rate: Positive = setting(1.0e-4, "[1e-6]")
    beta: Amount = setting(
        0.001,
        "weight of the KL divergence from the student at the start; 0 saves its"
        " computation [0.001]",
    )
    clip: Positive = setting(
        0.2, "largest change of a token's probability ratio that is rewarded [0.2]"
    )
    reward: Literal["strict", "normalised"] = setting(
        "strict", "when an answer is right: strict or normalised [normalised]"
    )
    questions: Count | None = setting(None, "drawn of all, or null for all")
    seed: Natural = setting(1)
    save_steps: Count = setting(25, "steps between two saved states")
    max_failed_share: Share = setting(
        0.1, "of a step's rollouts that end in a model or search error"
    )
    vllm: dict[str, Any] | None = setting(
        None,
        "null: Hugging Face generates; on a GPU TRL's vllm_* arguments, for instance"
        " {gpu_memory_utilization: 0.4}",
    )
    args: dict[str, Any] = setting(
        {
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "per_device_train_batch_size": 16,
            "loss_type": "grpo",
            "lr_scheduler_type": "linear",
            "warmup_steps": 3,
            "adam_beta2": 0.98,
        },
        "Other arguments of TRL's GRPOConfig.",
        notes={"per_device_train_batch_size": "of a step's rollouts at a time"},
    )
