"""Measure supervised fine-tuning of the 7B student's shape on this machine's GPUs.

    python tests/benchmarks/bench_training.py --work /tmp/bench --gpus 1

Makes a Qwen2.5-7B with random weights and records shaped like trajectories (a question, one to four
searches, an answer; about 1,400 tokens), trains a few steps of each recipe through LLaMA-Factory
and prints one JSON line each: tokens/s (padding not counted), MFU, peak memory. MFU is 6 x
parameters x tokens/s over the peak of 989 TFLOP/s (H100 and H200, bf16 dense) of each GPU.
"""

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from searchtrain.training.recipe import render_recipe  # noqa: E402
from searchtrain.training.trainer import build_command  # noqa: E402

PEAK = 989e12
SHAPE = {
    "vocab_size": 152_064,
    "hidden_size": 3_584,
    "intermediate_size": 18_944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32_768,
    "rope_theta": 1_000_000.0,
    "tie_word_embeddings": False,
}
"""Qwen2.5-7B's, from its config.json."""
WORDS = 151_643
SEARCHES = [1] * 5 + [2] * 7 + [3] * 5 + [4] * 3
TEMPLATE = (
    "{% for m in messages %}<|im_start|> {{ m['role'] }} {{ m['content'] }} <|im_end|> {% endfor %}"
)

STOCK = {
    "template": "qwen",
    "finetuning_type": "full",
    "cutoff_len": 4096,
    "preprocessing_num_workers": 8,
    "dataloader_num_workers": 4,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 2,
    "learning_rate": 1.0e-5,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 2,
    "bf16": True,
    "logging_steps": 1,
    "save_strategy": "no",
    "include_num_input_tokens_seen": "non_padding",
}
"""LLaMA-Factory's example of full SFT, but for the number of steps and what one GPU can hold."""
PACKED = {
    **STOCK,
    "enable_liger_kernel": True,
    "neat_packing": True,
    "cutoff_len": 8192,
    "include_num_input_tokens_seen": "all",
}
FSDP = {
    "fsdp": "full_shard auto_wrap",
    "fsdp_config": {"version": 2, "transformer_layer_cls_to_wrap": ["Qwen2DecoderLayer"]},
}
RECIPES = {
    # name: (attention, arguments, steps to warm up, steps to measure)
    "stock": (None, STOCK, 5, 30),
    "dense_mask": (None, {**PACKED, "flash_attn": "sdpa"}, 3, 8),
    "varlen": ("varlen", PACKED, 3, 10),
    "varlen_kept": ("varlen", {**PACKED, "disable_gradient_checkpointing": True}, 3, 12),
    "varlen_kept_16k": (
        "varlen",
        {**PACKED, "disable_gradient_checkpointing": True, "cutoff_len": 16_384},
        3,
        8,
    ),
}
"""`kept`: activations are kept for the backward pass, not computed again."""


def make_tokenizer(folder: Path) -> None:
    """A tokenizer of as many words as Qwen2.5's has tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    words = {f"w{number}": number for number in range(WORDS)}
    words |= {name: WORDS + place for place, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>",
        additional_special_tokens=names,
    )  # fmt: skip
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)


def make_base(folder: Path) -> None:
    """A 7B with random weights."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = Qwen2ForCausalLM(Qwen2Config(**SHAPE, dtype="bfloat16"))
    model.save_pretrained(folder)


def make_records(folder: Path, count: int) -> None:
    """Trajectories of random words in LLaMA-Factory's sharegpt format."""
    draw = random.Random(1)

    def say(least: int, most: int) -> str:
        return " ".join(f"w{draw.randrange(WORDS)}" for _ in range(draw.randint(least, most)))

    records = []
    for _ in range(count):
        turns = [{"from": "human", "value": say(10, 30)}]
        for _ in range(draw.choice(SEARCHES)):
            turns += [
                {"from": "gpt", "value": say(40, 90)},
                {"from": "observation", "value": say(380, 500)},
            ]
        turns.append({"from": "gpt", "value": say(20, 70)})
        records.append({"system": say(150, 150), "conversations": turns})
    (folder / "records.json").write_text(json.dumps(records))
    tags = {
        "role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt",
        "observation_tag": "observation", "function_tag": "function_call", "system_tag": "system",
    }  # fmt: skip
    columns = {"messages": "conversations", "system": "system"}
    entry = {
        "file_name": "records.json",
        "formatting": "sharegpt",
        "columns": columns,
        "tags": tags,
    }
    (folder / "dataset_info.json").write_text(json.dumps({"sft_dataset": entry}))


def work(recipe: Path, warm: int, varlen: bool) -> None:
    """Be one process of the trainer, with a stopwatch, and write no model."""
    import torch
    from llamafactory.train.sft import trainer
    from llamafactory.train.tuner import run_exp
    from transformers import TrainerCallback

    class Stopwatch(TrainerCallback):
        marks: dict[int, tuple[float, int]] = {}  # noqa: RUF012

        def on_step_end(self, args, state, control, **kwargs):
            torch.cuda.synchronize()
            self.marks[state.global_step] = (time.perf_counter(), state.num_input_tokens_seen)

        def on_train_end(self, args, state, control, model=None, **kwargs):
            (begun, before), (ended, after) = self.marks[warm], self.marks[state.global_step]
            facts = {
                "tokens_per_s": (after - before) / (ended - begun),
                "tokens_per_step": (after - before) / (state.global_step - warm),
                "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
                "loss": state.log_history[-1].get("loss", state.log_history[-2].get("loss")),
            }
            if state.is_world_process_zero:
                Path(args.output_dir, "speed.json").write_text(json.dumps(facts))

    trainer.CustomSeq2SeqTrainer.save_model = lambda self, *args, **kwargs: None
    if varlen:
        from searchtrain.training import attention as attention

        attention.install()
    run_exp(yaml.safe_load(recipe.read_text()), callbacks=[Stopwatch()])


def measure(name: str, folder: Path, gpus: int, parameters: int) -> dict:
    """Train one recipe for some steps; its figures, or how it failed."""
    attention, args, warm, steps = RECIPES[name]
    one = {"pure_bf16": True} if gpus == 1 else {**FSDP, "ddp_timeout": 1800}
    out = folder / f"{name}_{gpus}"
    out.mkdir(parents=True, exist_ok=True)
    recipe = {
        **render_recipe({**args, **one, "max_steps": warm + steps}, folder / "base", folder / "d"),
        "dataset_dir": str(folder), "output_dir": str(out),
    }  # fmt: skip
    path = out / "sft.yaml"
    path.write_text(yaml.safe_dump(recipe))
    command = build_command(path, gpus, attention == "varlen")
    kind = "attention" if attention == "varlen" else "worker"
    place = command.index(f"searchtrain.training.{kind}")
    options = ["--varlen"] * (attention == "varlen")
    command[place : place + 1] = [
        "bench_training", "--worker", "--warm", str(warm), *options, "--recipe"
    ]  # fmt: skip
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).parent), str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")]
        ),
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "OMP_NUM_THREADS": "1",
    }
    begun = time.perf_counter()
    with (out / "log").open("w") as log:
        ended = subprocess.run(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    seconds = time.perf_counter() - begun
    if ended.returncode:
        lines = (out / "log").read_text().splitlines()
        faults = [line for line in lines if "Error" in line]
        return {"recipe": name, "gpus": gpus, "failed": (faults or lines)[-3:]}
    facts = json.loads((out / "speed.json").read_text())
    rate = facts["tokens_per_s"]
    mfu = 6 * parameters * rate / (PEAK * gpus)
    return {"recipe": name, "gpus": gpus, **facts, "mfu": mfu, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--warm", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--recipe", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--varlen", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return work(args.recipe, args.warm, args.varlen)
    if not (args.work / "base").exists():
        args.work.mkdir(parents=True, exist_ok=True)
        make_tokenizer(args.work / "base")
        # In a process of its own, which gives the GPU's memory back.
        maker = multiprocessing.get_context("spawn").Process(
            target=make_base, args=(args.work / "base",)
        )
        maker.start()
        maker.join()
        make_records(args.work, 1_200)
    weights = (args.work / "base").glob("*.safetensors")
    parameters = sum(file.stat().st_size for file in weights) // 2
    packages = ("torch", "transformers", "llamafactory", "liger-kernel", "accelerate")
    lines = [{"parameters": parameters, **{name: version(name) for name in packages}}]
    print(json.dumps(lines[0]), flush=True)
    for name in args.recipes:
        lines.append(measure(name, args.work, args.gpus, parameters))
        print(json.dumps(lines[-1]), flush=True)
        if args.out:
            args.out.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return None


if __name__ == "__main__":
    main()
