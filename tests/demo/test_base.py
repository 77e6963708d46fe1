"""The tiny base: deterministic, tags kept whole, and token for token what LLaMA-Factory renders."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.worlds import CONFIG, WORLD, write
from searchtrain import config
from searchtrain.agent import grammar
from searchtrain.core.files import hash_file
from searchtrain.demo import base, world

OBSERVATION = grammar.render_observation(
    [
        (
            "city Nova Iguacu",
            [{"contents": '"Nova Iguacu"\nA city in Brazil with 1,002,118 people.'}],
        )
    ],
    max_chars=500,
)
MESSAGES = [
    {"role": "system", "content": "Answer the question. Think, then search."},
    {"role": "user", "content": "In which country is Nova Iguacu?"},
    {
        "role": "assistant",
        "content": grammar.render_turn("I need its country.", queries=["city Nova Iguacu"]),
    },
    {"role": "tool", "content": OBSERVATION},
    {
        "role": "assistant",
        "content": grammar.render_turn("Nova Iguacu is in Brazil.", answer="Brazil"),
    },
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    world.write_world(folder, config.World(**WORLD))
    return folder


@pytest.fixture(scope="module")
def folder(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(inputs, tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def encode(tokenizer: Any, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def test_the_tokenizer_has_the_size_asked_for(tokenizer: Any, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert len(tokenizer) == config["vocab_size"] == CONFIG["vocabulary"]
    assert config["model_type"] == "qwen2"
    assert tokenizer.eos_token == base.TURN_END and tokenizer.pad_token == base.END_OF_TEXT


def test_tags_are_one_token_and_survive_decoding(tokenizer: Any) -> None:
    for mark in base.MARKS:
        for tag in (f"<{mark}>", f"</{mark}>"):
            assert len(encode(tokenizer, tag)) == 1
            kept = tokenizer.decode(encode(tokenizer, tag), skip_special_tokens=True)
            assert kept == tag
    for token in base.SPECIAL:
        assert len(encode(tokenizer, token)) == 1
        assert tokenizer.decode(encode(tokenizer, token), skip_special_tokens=True) == ""


def test_a_name_has_the_same_tokens_wherever_it_stands(tokenizer: Any) -> None:
    name = encode(tokenizer, " Nova Iguacu")
    for text in ("<answer>Nova Iguacu</answer>", "<think>It is Nova Iguacu</think>"):
        ids = encode(tokenizer, text)
        assert ids[-1 - len(name) : -1] == name


def test_what_is_decoded_encodes_to_the_same_tokens(tokenizer: Any) -> None:
    """The agent sends back what the student wrote: no token may change on the way."""
    for text in [message["content"] for message in MESSAGES] + ["São Tomé, 1.5 °C\n\nΩ 漢字"]:
        ids = encode(tokenizer, text)
        assert encode(tokenizer, tokenizer.decode(ids)) == ids
        assert tokenizer.decode(ids).replace(" ", "") == text.replace(" ", "")


def test_digits_are_single_tokens(tokenizer: Any) -> None:
    assert len(encode(tokenizer, "1,002,118")) == 9


def test_template_equals_llamafactory_token_for_token(tokenizer: Any) -> None:
    from llamafactory.data.template import TEMPLATES

    template = TEMPLATES["qwen"]
    roles = {"user": "user", "assistant": "assistant", "tool": "observation"}
    turns = [{"role": roles[m["role"]], "content": m["content"]} for m in MESSAGES[1:]]
    pairs = template.encode_multiturn(tokenizer, turns, MESSAGES[0]["content"], None)
    expected = [token for source, target in pairs for token in source + target]
    ours = tokenizer.apply_chat_template(MESSAGES, tokenize=True, return_dict=False)
    assert ours == expected
    prompt = tokenizer.apply_chat_template(
        MESSAGES[:-1], tokenize=True, add_generation_prompt=True, return_dict=False
    )
    assert prompt == [token for s, t in pairs[:-1] for token in s + t] + pairs[-1][0]


def test_template_without_a_system_message(tokenizer: Any) -> None:
    text = tokenizer.apply_chat_template(MESSAGES[1:2], tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
        "<|im_end|>\n<|im_start|>user\nIn which country is Nova Iguacu?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_template_puts_adjacent_observations_in_one_turn(tokenizer: Any) -> None:
    messages = [*MESSAGES[:3], {"role": "tool", "content": "a"}, {"role": "tool", "content": "b"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert text.endswith(
        "<|im_start|>user\n<tool_response>\na\n</tool_response>\n<tool_response>\nb\n"
        "</tool_response><|im_end|>\n"
    )


def test_same_inputs_same_bytes_other_seed_other_weights(
    inputs: Path, folder: Path, tmp_path: Path
) -> None:
    again = write(inputs, tmp_path / "again")
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    for name in names:
        assert hash_file(folder / name) == hash_file(again / name), name
    other = write(inputs, tmp_path / "other", seed=2)
    weights = "model.safetensors"
    assert hash_file(folder / weights) != hash_file(other / weights)
    assert hash_file(folder / "tokenizer.json") == hash_file(other / "tokenizer.json")


def test_the_model_loads_and_generates(folder: Path, tokenizer: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.tie_word_embeddings is True
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    ids = torch.tensor([encode(tokenizer, "In which country is Nova Iguacu?")])
    assert model.generate(ids, max_new_tokens=3, do_sample=False).shape[1] <= ids.shape[1] + 3


def test_the_language_of_trees_counts_only_in_a_world_with_details(
    inputs: Path, tmp_path: Path
) -> None:
    world.write_world(tmp_path, config.World(**{**WORLD, "details": True}))
    for folder, detailed in ((inputs, False), (tmp_path, True)):
        texts = set(base.collect_texts(folder / "passages.jsonl", folder / "train.json"))
        assert texts >= set(base.PHRASES)
        assert (texts >= set(base.TREE_PHRASES)) == detailed
        assert bool(texts & set(base.TREE_PHRASES)) == detailed
