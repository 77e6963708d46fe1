"""Other chat data beside the trajectories (SimpleDeepSearcher's `other_type_data`), by a ratio.

Invariant: what is mixed in is a sample without replacement that depends on seed and content
alone, and a record that cannot be trained on is an error, never left out.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from searchtrain import config
from searchtrain.core.errors import InputError
from searchtrain.core.files import digest
from searchtrain.data.file_rows import read_objects

logger = logging.getLogger(__name__)

SPEAKERS = {
    "system": "system",
    "user": "human", "human": "human",
    "assistant": "gpt", "gpt": "gpt",
    "tool": "observation", "observation": "observation",
}  # fmt: skip
"""OpenAI's roles and sharegpt's, and LLaMA-Factory's tag for each."""
SHAPES = (
    "{messages: [{role, content}]}, {conversations: [{from, value}], system?},"
    " {prompt, output, system?} or {instruction, input?, output, system?}"
)
MARKS = ("<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|eot_id|>")
"""Control tokens of chat templates: as text they would begin and end turns."""

Turn = dict[str, str]


def mix_records(
    path: Path, searches: int, settings: config.Mix
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Take the sharegpt records that go with `searches` search records.

    Returns them in the order of the file, and `{file, ratio, seed, available, asked, taken}`.
    When the file has fewer than asked for, all are taken and a warning says so. Raises InputError
    as `read_chats` does.
    """
    chats = read_chats(path)
    asked = round(settings.ratio * searches)
    taken = sample_records(chats, asked, settings.seed)
    if len(taken) < asked:
        logger.warning(
            "%s has %d records where mix.ratio %g asks for %d; all are taken",
            path, len(chats), settings.ratio, asked,
        )  # fmt: skip
    return taken, {
        "file": str(path),
        "ratio": settings.ratio,
        "seed": settings.seed,
        "available": len(chats),
        "asked": asked,
        "taken": len(taken),
    }


def sample_records(
    records: Sequence[dict[str, Any]], count: int, seed: int
) -> list[dict[str, Any]]:
    """At most `count` records in their order; a record is taken or not by seed and content.

    A larger `count` takes the same and more; another order of the file takes the same records.
    """
    copies: Counter[str] = Counter()
    ranks = []
    for place, record in enumerate(records):
        content = digest(record)
        ranks.append((digest([seed, content, copies[content]]), place))
        copies[content] += 1
    return [records[place] for place in sorted(place for _, place in sorted(ranks)[:count])]


def read_chats(path: Path) -> list[dict[str, Any]]:
    """Read chat data as sharegpt records `{conversations: [{from, value}], system}`.

    Every record begins with the user, alternates and ends with the assistant. `system` is empty
    when a record has none; `records.list_messages` says what the student reads then. Raises
    InputError naming file, place and fault of the first record that cannot be trained on.
    """
    return [_make_record(row, where) for where, row in read_objects(path)]


def _make_record(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    turns = _list_turns(row, where)
    system = _read_text(row.get("system") or "", f"{where}: system")
    if turns and turns[0]["from"] == "system":
        if system.strip():
            raise InputError(f"{where}: it has two system prompts; leave one out")
        system = turns.pop(0)["value"]
    for number, turn in enumerate(turns):
        expected = ("gpt",) if number % 2 else ("human", "observation")[: 1 + (number > 0)]
        place = f"{where}: turn {number + 1}"
        if turn["from"] not in expected:
            raise InputError(
                f"{place} is by {turn['from']!r} where {' or '.join(map(repr, expected))} belongs;"
                " turns must alternate, the user first"
            )
        if not turn["value"].strip():
            raise InputError(f"{place} ({turn['from']}) is blank; fill it in or drop the record")
    if not turns or len(turns) % 2:
        raise InputError(
            f"{where}: {len(turns)} turns, none of the assistant's at the end; there is nothing to"
            " learn from it: add the answer or drop the record"
        )
    for text in (system, *(turn["value"] for turn in turns)):
        if mark := next((mark for mark in MARKS if mark in text), None):
            raise InputError(
                f"{where}: the text holds {mark}, which a chat template writes;"
                " give the messages as plain text"
            )
    return {"conversations": turns, "system": system if system.strip() else ""}


def _list_turns(row: Mapping[str, Any], where: str) -> list[Turn]:
    """The turns of a record of any of `SHAPES`, a system prompt among them first."""
    if "messages" in row:
        return _read_turns(row["messages"], "messages", "role", "content", where)
    if "conversations" in row:
        return _read_turns(row["conversations"], "conversations", "from", "value", where)
    if "output" in row and "instruction" in row:
        if row.get("history"):
            raise InputError(f"{where}: history is not read; write the conversation as messages")
        texts = [_read_text(row["instruction"], f"{where}: instruction")]
        texts.append(_read_text(row.get("input") or "", f"{where}: input"))
        asked = "\n".join(text for text in texts if text.strip())  # as LLaMA-Factory joins them
    elif "output" in row and "prompt" in row:
        asked = _read_text(row["prompt"], f"{where}: prompt")
    else:
        given = ", ".join(sorted(row)) or "no fields"
        raise InputError(f"{where}: a record has {SHAPES}; this one has {given}")
    said = _read_text(row["output"], f"{where}: output")
    return [{"from": "human", "value": asked}, {"from": "gpt", "value": said}]


def _read_turns(values: Any, field: str, role: str, content: str, where: str) -> list[Turn]:
    if not isinstance(values, list):
        raise InputError(f"{where}: {field} is {values!r:.60}; it must be a list of turns")
    turns = []
    for number, value in enumerate(values, 1):
        place = f"{where}: turn {number}"
        if not isinstance(value, dict) or not {role, content} <= set(value):
            raise InputError(f"{place} is {value!r:.60}; it must be {{{role}, {content}}}")
        if value.get("tool_calls"):
            raise InputError(f"{place} has tool_calls, which are not text; drop the record")
        speaker = value[role]
        if not isinstance(speaker, str) or speaker not in SPEAKERS:
            raise InputError(
                f"{place}: {role} {speaker!r} is unknown; it may be {', '.join(SPEAKERS)}"
            )
        text = _read_text(value[content], f"{place}: {content}")
        turns.append({"from": SPEAKERS[speaker], "value": text})
    return turns


def _read_text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where} is {value!r:.60}; it must be text")
    return value
