"""A record of the SFT data as chat messages and as tokens.

Invariant: the tokens are those that the served chat template makes of the same conversation.
"""

from collections.abc import Mapping
from typing import Any

from searchtrain.agent import grammar

DATASET = "sft_dataset"
SPEAKERS = {"user": "human", grammar.ASSISTANT: "gpt", grammar.OBSERVATION: "observation"}
ROLES = {speaker: role for role, speaker in SPEAKERS.items()}


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
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
