"""Encoders with random weights and a made tokenizer: the code of dense retrieval, no download."""

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedTokenizerFast,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def make_encoder(folder: Path, words: Iterable[str], *, seed: int = 1, **shape: int) -> Path:
    """Write a Hugging Face BERT of random weights to `folder`; each of `words` is one token.

    `shape`: values of BertConfig, as hidden_size; without any it is BERT-base, E5-base's shape.
    """
    count = save_tokenizer(folder, words)
    torch.manual_seed(seed)
    config = BertConfig(vocab_size=max(count, shape.pop("vocab_size", 0)), **shape)
    BertModel(config).save_pretrained(folder)
    return folder


def make_cross_encoder(folder: Path, words: Iterable[str], *, num_labels: int = 1) -> Path:
    """Write a small BERT of random weights that gives a pair of texts so many scores."""
    count = save_tokenizer(folder, words)
    torch.manual_seed(3)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    # With the usual small weights every pair would have nearly the same score.
    config = BertConfig(
        vocab_size=count,
        intermediate_size=64,
        initializer_range=0.5,
        num_labels=num_labels,
        **shape,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def save_tokenizer(folder: Path, words: Iterable[str]) -> int:
    """Write a BERT tokenizer of these words to `folder`; how many tokens it has."""
    vocabulary = {word: place for place, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    names = dict(zip(["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"], SPECIAL,
                     strict=True))  # fmt: skip
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **names)
    fast.save_pretrained(folder)
    return len(vocabulary)
