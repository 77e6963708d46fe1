"""Tiny bases that carry the true chat template and generation config of a published family.

The templates are not ours to keep: they are read from a folder beside the repository.
"""

# ruff: noqa: RUF001

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.checkout import ROOT

FOLDER = Path(os.environ.get("SEARCHTRAIN_TEMPLATES", ROOT / "../shared/reference/templates"))
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA_SPLIT = QWEN_SPLIT.replace(r"\p{N}|", r"\p{N}{1,3}|")
QWEN_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CALLS = ("<tool_call>", "</tool_call>")
THOUGHTS = ("<tool_response>", "</tool_response>", "<think>", "</think>")


@dataclass(frozen=True)
class Family:
    """What makes its conversations what they are; sources in real_models.md, section 1.1."""

    template: str
    """Name of LLaMA-Factory's template."""
    eos: str
    bos: str | None = None
    special: tuple[str, ...] = QWEN_SPECIAL
    added: tuple[str, ...] = CALLS
    """Tokens of their own that are kept when a text is decoded."""
    split: str = QWEN_SPLIT
    sampling: dict[str, Any] = field(default_factory=dict)
    """Of its generation_config.json."""


DEEPSEEK = Family(
    "deepseekr1",
    eos="<｜end▁of▁sentence｜>",
    bos="<｜begin▁of▁sentence｜>",
    special=("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    added=(
        "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>", "<｜tool▁calls▁begin｜>",
        "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>",
        "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>", "<｜tool▁output▁begin｜>",
        "<｜tool▁output▁end｜>",
    ),
    sampling={"temperature": 0.6, "top_p": 0.95},
)  # fmt: skip
FAMILIES = {
    "Qwen2.5-7B-Instruct": Family(
        "qwen",
        eos="<|im_end|>",
        sampling={"temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05},
    ),
    "Qwen3": Family(
        "qwen3_nothink",
        eos="<|im_end|>",
        added=CALLS + THOUGHTS,
        sampling={"temperature": 0.6, "top_p": 0.95, "top_k": 20},
    ),
    "QwQ-32B": Family(
        "qwen",
        eos="<|im_end|>",
        added=CALLS + THOUGHTS,
        sampling={"temperature": 0.6, "top_p": 0.95, "top_k": 40, "repetition_penalty": 1.0},
    ),
    "DeepSeek-R1-Distill-Qwen-32B": DEEPSEEK,
    "Llama-3.1-8B-Instruct": Family(
        "llama3",
        eos="<|eot_id|>",
        bos="<|begin_of_text|>",
        special=(
            "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
            "<|eot_id|>", "<|eom_id|>", "<|python_tag|>",
        ),
        added=(),
        split=LLAMA_SPLIT,
        sampling={"temperature": 0.6, "top_p": 0.9},
    ),
}  # fmt: skip
"""Name of the template's file -> its family."""


def write_tokenizer(name: str, folder: Path, template: str | None = None) -> Any:
    """A byte-level tokenizer of few words with a family's tokens and way to split.

    `template`: a chat template in place of the family's own.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from searchtrain.demo.base import PHRASES

    family = FAMILIES[name]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(family.split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    frame = "</search>\n\n<information>\n<think>\n\n</think>\n\n<answer>\n user\nassistant\n>\n\n"
    raw.train_from_iterator(
        [*PHRASES, *[frame] * 50],
        trainers.BpeTrainer(
            vocab_size=600,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    raw.add_special_tokens([AddedToken(token, special=True) for token in family.special])
    raw.add_tokens([AddedToken(token, special=False) for token in family.added])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token=family.eos,
        bos_token=family.bos,
        pad_token=family.special[0 if family.bos is None else 1],
        clean_up_tokenization_spaces=False,
    )
    if template is None:
        template = (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return tokenizer


def write_model(name: str, folder: Path) -> Path:
    """A random model of a family that vLLM can serve."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = write_tokenizer(name, folder)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=4096,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, dtype="float32",
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    model.save_pretrained(folder)
    values = {"do_sample": True, "eos_token_id": tokenizer.eos_token_id, **FAMILIES[name].sampling}
    (folder / "generation_config.json").write_text(json.dumps(values))
    return folder
