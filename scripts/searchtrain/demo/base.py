"""The tiny base model: a randomly initialised Qwen2 and a tokenizer trained on the world's text.

Invariant: its chat template renders what LLaMA-Factory's `qwen` template renders, token for
token, and no tag of the grammar is ever split or stripped: each is one token that is not special.
Same passages, questions and configuration, same tokenizer and weights.
"""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from searchtrain import config
from searchtrain.agent.grammar import TAGS, render_observation
from searchtrain.core.files import read_json, read_jsonl
from searchtrain.demo.passages import read_passage

if TYPE_CHECKING:
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL = (END_OF_TEXT, TURN_START, TURN_END)
"""Qwen's special tokens."""

MARKS = (*TAGS, "tool_response")
"""Tags that are one token each, opening and closing, and are kept when a text is decoded."""

CHAT_TEMPLATE = """\
{%- if not messages or messages[0]['role'] != 'system' -%}
{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. ' -}}
{{- 'You are a helpful assistant.<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
{%- if message['role'] == 'tool' -%}
{%- if loop.previtem is not defined or loop.previtem['role'] != 'tool' -%}
{{- '<|im_start|>user' -}}
{%- endif -%}
{{- '\\n<tool_response>\\n' + message['content'] + '\\n</tool_response>' -}}
{%- if loop.nextitem is not defined or loop.nextitem['role'] != 'tool' -%}
{{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- else -%}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""
"""Qwen2.5's behaviour for system, user, assistant and tool messages (no tool schemas)."""


PHRASES = (
    "Answer the question. Think, search when you need facts, then give a short answer.",
    "I need the country of A.",
    "A is in B. I need the currency code of B. The calling code of B is C.",
    "The internet domain of B is C. I need the time zone of A. The time zone of A is C.",
    "The capital of B is C. I need the population of C. The population of C is D.",
    "I need the population of A and of B.",
    "A in B has 1 people, 5 digits. The larger is the first, in B. The larger is the second.",
    "The passages do not tell me about A. I search again.",
    "city A",
    "country B",
)
"""Samples of the teacher's language, for whoever trains a tokenizer on it."""
TREE_PHRASES = (
    "I need the city at latitude 1 N and longitude 2 E in A.",
    "The city is B.",
    "No passage shows the country. No passage shows the city.",
    "I need the country that borders A and borders B and has the currency code C.",
    "I need the country that is on the continent A and has as its capital B.",
    "The country is A. I need the city at longitude 3 W in A.",
    "city A latitude 4 S longitude 5 W",
    "country currency code A continent B borders C",
    "country capital A",
)
"""The same for tree questions, which only a world with details has."""


VARIED_PHRASES = (
    "A is in B. I need the English name of B.",
    "The English name of B is C.",
    "The population is 1.",
    "The country is A. The currency code is B. The calling code is +1. The internet domain is .c.",
    "The capital is A. The time zone is B. The English name is C.",
    "I think I know the rest.",
)
"""The same for the harder world (`demo.varied`)."""


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> "Tokenizer":
    """Train a byte-level BPE tokenizer of `vocabulary` tokens, special tokens and tags included.

    Every digit is one token (as in Qwen), with the space before it if there is one. Each stretch
    of text between tags is read as if a space stood before it, so that a name has the same tokens
    after `<answer>` as in the middle of a sentence: answering is copying tokens.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    special = [AddedToken(token, special=True, normalized=False) for token in SPECIAL]
    marks = [f"<{slash}{mark}>" for mark in MARKS for slash in ("", "/")]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True),
            pre_tokenizers.Split(Regex("Ġ?[0-9]"), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(special) - len(marks),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in marks])
    return tokenizer


def collect_texts(passages: str | Path, train: str | Path) -> Iterator[str]:
    """Yield what the tokenizer is trained on: passages as the student sees them, and questions."""
    details = varied = False
    for _, row in read_jsonl(passages):
        facts = read_passage(row["contents"].partition("\n")[2])
        details, varied = details or "longitude" in facts, varied or not facts
        yield render_observation([("", [row])], max_chars=2000)
    for row in read_json(train):
        yield row["question"]
    # Often enough that the frame of every turn becomes whole words.
    phrases = (*PHRASES, *TREE_PHRASES * details, *VARIED_PHRASES * varied)
    for phrase in (*phrases, "\n", "user\n", "system\n", "assistant\n"):
        yield from [phrase] * 200


def write_base(
    folder: str | Path, passages: str | Path, train: str | Path, settings: config.Base
) -> None:
    """Train the tokenizer, draw the weights, and write a Hugging Face model folder."""
    import torch
    from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config
    from transformers import Qwen2ForCausalLM as Model

    folder = Path(folder)
    raw = train_tokenizer(collect_texts(passages, train), settings.vocabulary)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        model_max_length=settings.positions,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    end, pad = raw.token_to_id(TURN_END), raw.token_to_id(END_OF_TEXT)
    shape = Qwen2Config(
        vocab_size=raw.get_vocab_size(),
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.kv_heads,
        intermediate_size=settings.feed_forward,
        max_position_embeddings=settings.positions,
        rope_parameters={"rope_type": "default", "rope_theta": float(settings.rope_theta)},
        tie_word_embeddings=settings.tied,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
        dtype="float32",
    )
    torch.manual_seed(settings.seed)
    model = Model(shape)
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=pad, do_sample=False)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    log.info("base: %d parameters, %d tokens", model.num_parameters(), raw.get_vocab_size())
