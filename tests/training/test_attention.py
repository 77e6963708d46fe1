"""Packed records kept apart by their lengths read as alone, and as with a dense mask."""

import pytest
import torch
from llamafactory.extras.constants import IGNORE_INDEX
from transformers import AttentionInterface, Qwen2Config, Qwen2ForCausalLM

from searchtrain.training import attention

LENGTHS = [5, 1, 9, 3]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    AttentionInterface.register(attention.NAME, attention.attend)
    config = Qwen2Config(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        attn_implementation=attention.NAME,
    )  # fmt: skip
    return Qwen2ForCausalLM(config)


def pack(records):
    """A batch as the collator makes it of one packed row."""
    lengths = [len(record) for record in records]
    bounds = torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)
    return {
        "input_ids": torch.cat(records)[None],
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
        "cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds,
        "max_length_q": max(lengths), "max_length_k": max(lengths),
    }  # fmt: skip


def draw_records():
    torch.manual_seed(1)
    return [torch.randint(0, 50, (length,)) for length in LENGTHS]


def test_a_packed_record_reads_as_it_does_alone(model):
    records = draw_records()
    packed = model(**pack(records)).logits[0].split(LENGTHS)
    for record, logits in zip(records, packed, strict=True):
        torch.testing.assert_close(logits, model(**pack([record])).logits[0])


def test_a_packed_record_reads_as_with_a_dense_mask(model):
    batch = pack(draw_records())
    ids, positions = batch["input_ids"], batch["position_ids"]
    numbers = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))
    seen = (numbers[:, None] == numbers) & torch.ones(len(numbers), len(numbers)).tril().bool()
    model.set_attn_implementation("sdpa")
    try:
        dense = model(ids, position_ids=positions, attention_mask=seen[None, None]).logits
    finally:
        model.set_attn_implementation(attention.NAME)
    torch.testing.assert_close(model(**batch).logits, dense)


def test_no_gradient_crosses_records(model):
    records = draw_records()
    embeds = model.get_input_embeddings()(torch.cat(records)[None]).detach().requires_grad_()
    batch = pack(records)
    del batch["input_ids"]
    logits = model(inputs_embeds=embeds, **batch).logits[0].split(LENGTHS)
    logits[2].sum().backward()
    touched = embeds.grad[0].abs().sum(-1).split(LENGTHS)
    assert [bool(part.any()) for part in touched] == [False, False, True, False]


def test_logits_only_where_there_is_loss_give_the_same_loss_and_gradients(model):
    batch = pack(draw_records())
    labels = batch["input_ids"].clone()
    labels[:, [0, 1, 5, 6, 10, 11, 17]] = IGNORE_INDEX
    found = []
    for chosen in ({}, attention.choose_logits(labels)):
        model.zero_grad()
        output = model(**batch, labels=labels, **chosen)
        output.loss.backward()
        gradients = [weight.grad.clone() for weight in model.parameters()]
        found.append((output.loss.detach(), gradients, output.logits.shape[1]))
    torch.testing.assert_close(found[0][:2], found[1][:2])
    assert [tokens for *_, tokens in found] == [18, 11]


def test_a_row_without_loss_learns_nothing(model):
    batch = pack(draw_records())
    labels = torch.full_like(batch["input_ids"], IGNORE_INDEX)
    chosen = attention.choose_logits(labels)
    loss = model(**batch, labels=labels, num_items_in_batch=torch.tensor(7), **chosen).loss
    model.zero_grad()
    loss.backward()
    assert loss == 0
    assert not any(weight.grad.any() for weight in model.parameters() if weight.grad is not None)
