"""A rollout as a document of the Agent Trajectory Interchange Format (ATIF, of Harbor and
Terminal-Bench; its RFC 0001).

The documents use fields of version 1.7 and say so: 1.8 adds audio, and readers of 1.7 refuse it.
Invariant: a step is a message of the stored conversation as `agent.formats` writes native calls,
with the observations that answer it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from searchtrain.agent import grammar
from searchtrain.agent.formats import SEARCH_TOOL, THINKING_CALLS
from searchtrain.core.errors import ProtocolError

VERSION = "ATIF-v1.7"
AGENT = {"name": "searchtrain", "version": "0.1"}
"""Who ran the loop; the model is beside it."""
SOURCES = {"system": "system", "user": "user", grammar.ASSISTANT: "agent"}

Object = dict[str, Any]


def make_trajectory(row: Mapping[str, Any]) -> Object:
    """One document; `row`: as from `dataset.make_rollouts`."""
    lineage = row["lineage"]
    agent = {
        **AGENT,
        "model_name": lineage["model"],
        "tool_definitions": [dict(SEARCH_TOOL)],
        "extra": {name: lineage[name] for name in ("revision", "prompt", "seed")},
    }
    steps = list(_list_steps(row))
    told = ("question_id", "rollout", "wave", "golden_answers", "source", "answer", "stop_reason",
            "error", "fallbacks", "repairs")  # fmt: skip
    rules = {each["rule"]: {name: each[name] for name in ("passed", "value", "threshold")}
             for each in row["verdicts"] or ()}  # fmt: skip
    return {
        "schema_version": VERSION,
        "session_id": row["id"],
        "trajectory_id": row["id"],
        "agent": agent,
        "steps": [{"step_id": number, **step} for number, step in enumerate(steps, 1)],
        "final_metrics": {
            "total_prompt_tokens": row["prompt_tokens"],
            "total_completion_tokens": row["completion_tokens"],
            "total_steps": len(steps),
        },
        "extra": {
            **{name: row[name] for name in told},
            "kept": bool(row["kept"]),
            "rules": rules,
        },
    }


def _list_steps(row: Mapping[str, Any]) -> Iterator[Object]:
    """The steps without their numbers; an observation stands in the step that it answers."""
    raw, found = iter(row["raw"]), _Found(row)
    step: Object | None = None
    for stored, message in zip(
        row["messages"], THINKING_CALLS.render_messages(row["messages"]), strict=True
    ):
        if stored["role"] == grammar.OBSERVATION and step:
            step["observation"] = {"results": [_make_result(message, step, found)]}
            continue
        if step:
            yield step
        step = {"source": SOURCES[stored["role"]], "message": message["content"]}
        if stored["role"] == grammar.ASSISTANT:
            step |= _describe_turn(stored["content"], message)
            if wrote := next(raw, ""):
                step["extra"] = {"raw": wrote}
    if step:
        yield step


def _describe_turn(text: str, message: Mapping[str, Any]) -> Object:
    """What a step of the agent has besides; of an answer its message, too."""
    if calls := message.get("tool_calls"):
        return {
            "reasoning_content": message["reasoning_content"],
            "tool_calls": [
                {
                    "tool_call_id": call["id"],
                    "function_name": call["function"]["name"],
                    "arguments": json.loads(call["function"]["arguments"]),
                }
                for call in calls
            ],
        }
    try:
        turn = grammar.parse_turn(text)
    except ProtocolError:
        return {}
    return {"reasoning_content": turn.think, "message": turn.answer}


def _make_result(message: Mapping[str, Any], step: Mapping[str, Any], found: "_Found") -> Object:
    """What the environment replied; a notice on a turn that could not be read answers no call."""
    called = message.get("tool_call_id")
    if not called:
        return {"content": message["content"]}
    passages = found.take(step["tool_calls"][0]["arguments"]["queries"])
    return {
        "source_call_id": called,
        "content": message["content"],
        **({"extra": passages} if passages else {}),
    }


class _Found:
    """The ids of what each search brought; searches of turns that were taken back are skipped."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        columns = (row["queries"], row["retrieved_ids"], row["sources"])
        self._left = list(zip(*columns, strict=True))

    def take(self, queries: Sequence[str]) -> Object:
        """Of the next search for these queries (those above the limit were not run)."""
        for place, (ran, retrieved, shown) in enumerate(self._left):
            if list(ran) == list(queries[: len(ran)]):
                del self._left[: place + 1]
                return {"retrieved_ids": list(retrieved), "shown_ids": list(shown)}
        return {}
