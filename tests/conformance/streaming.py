"""A completion as server-sent events."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

PIECE = 40
"""Characters in one event."""
THOUGHTS = ("reasoning", "reasoning_content")


def list_chunks(reply: Mapping[str, Any], *, include_usage: bool) -> Iterator[bytes]:
    """The events of a completion: role, thought, text, native calls, finish, usage, the end."""
    shared = {key: reply.get(key) for key in ("id", "created", "model")}
    shared["object"] = "chat.completion.chunk"

    def send(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _send({**shared, "choices": [choice]})

    if "choices" not in reply:
        yield _send(reply)
        yield b"data: [DONE]\n\n"
        return
    message = reply["choices"][0]["message"]
    yield send({"role": "assistant", "content": ""})
    for field in (*THOUGHTS, "content"):
        text = message.get(field) or ""
        for place in range(0, len(text), PIECE):
            yield send({field: text[place : place + PIECE]})
    for number, call in enumerate(message.get("tool_calls") or ()):
        yield send({"tool_calls": [{"index": number, **call}]})
    yield send({}, reply["choices"][0]["finish_reason"])
    if include_usage:
        yield _send({**shared, "choices": [], "usage": reply["usage"]})
    yield b"data: [DONE]\n\n"


def _send(event: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
