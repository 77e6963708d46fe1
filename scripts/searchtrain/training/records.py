"""A record of the SFT data as LLaMA-Factory's sharegpt format has it, and as chat messages.

Invariant: `list_messages` undoes `make_turns`, up to the ids of native tool calls.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from searchtrain.agent import grammar
from searchtrain.models.model import Message

DATASET = "sft_dataset"
PAIRS = "preference_dataset"
"""Names of the two data sets in their dataset_info.json."""
CALL = "function_call"
TRAINED = "trained"
"""The column of a record that says which of the student's turns have loss: `LAST`, or all. No
record has it unless one is marked."""
ALL, LAST = "all", "last"
SPEAKERS = {"user": "human", grammar.ASSISTANT: "gpt", grammar.OBSERVATION: "observation"}
ROLES = {speaker: role for role, speaker in SPEAKERS.items()}
OPENED, CLOSED = "<tool_call>", "</tool_call>"
"""What stands around the calls of a turn in a record: LLaMA-Factory's `tool_call_words`, with which
it leaves alone what the turn says besides."""


def make_turns(messages: Sequence[Message]) -> list[dict[str, str]]:
    """The turns of a sharegpt record, `{from, value}`; `messages` have no system prompt."""
    return [_make_turn(message) for message in messages]


def list_messages(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A sharegpt record as chat messages, system prompt first.

    A record without one has no system message: LLaMA-Factory's template then writes the model's
    own default prompt, and so does the chat template when the message is left out, but not when it
    is there and empty.
    """
    messages: list[dict[str, Any]] = []
    if record["system"]:
        messages.append({"role": "system", "content": record["system"]})
    for turn in record["conversations"]:
        messages.append(_read_turn(turn, messages))
    return messages


def write_tools(tools: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The column `tools` of a record whose turns may call these functions; no column without."""
    return (
        {"tools": json.dumps([dict(tool) for tool in tools], ensure_ascii=False)} if tools else {}
    )


def list_tools(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The functions that a record's turns may call, as OpenAI's API has them."""
    tools: list[dict[str, Any]] = json.loads(record.get("tools") or "[]")
    return tools


def is_last_trained(record: Mapping[str, Any]) -> bool:
    """Whether only the last of the student's turns has loss."""
    return record.get(TRAINED) == LAST


def _make_turn(message: Message) -> dict[str, str]:
    content = message["content"] or ""
    if not message.get("tool_calls"):
        return {"from": SPEAKERS[message["role"]], "value": content}
    calls = [
        {"name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])}
        for call in message["tool_calls"]
    ]
    said = content + "\n" if content else ""
    return {"from": CALL, "value": said + OPENED + json.dumps(calls, ensure_ascii=False) + CLOSED}


def _read_turn(turn: Mapping[str, str], before: Sequence[Message]) -> dict[str, Any]:
    speaker, value = turn["from"], turn["value"]
    if speaker != CALL:
        calls = before[-1].get("tool_calls") if before and speaker == "observation" else None
        answered = {"tool_call_id": calls[0]["id"]} if calls else {}
        return {"role": ROLES[speaker], "content": value, **answered}
    said, _, calls = value.rpartition(OPENED)
    return {
        "role": grammar.ASSISTANT,
        "content": said.removesuffix("\n"),
        "tool_calls": [
            {
                "id": f"call_{len(before)}_{number}",
                "type": "function",
                "function": {
                    "name": call["name"],
                    "arguments": json.dumps(call["arguments"], ensure_ascii=False),
                },
            }
            for number, call in enumerate(json.loads(calls.removesuffix(CLOSED)))
        ],
    }
