"""A chat completion as vLLM words it.

Invariant: it is cut at the first stop string and at `max_tokens` words.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any


def make_completion(body: Mapping[str, Any], text: str, digest: str, model: str) -> dict[str, Any]:
    """Wrap a message as vLLM does: cut at the first stop string and at `max_tokens` words."""
    text, stopped_by = cut_at_stop(text, body.get("stop"))
    finish = "stop"
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    words = text.split()
    if limit and len(words) > limit:
        text, finish, stopped_by = " ".join(words[:limit]), "length", None
    prompt = sum(len(str(message.get("content") or "").split()) for message in body["messages"])
    completion = min(len(words), limit or len(words))
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": finish,
        "stop_reason": stopped_by,
    }
    return {
        "id": f"chatcmpl-{digest[:24]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body.get("model") or model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
    }


def cut_at_stop(text: str, stop: str | Sequence[str] | None) -> tuple[str, str | None]:
    """Cut a text before its earliest stop string, as a server does; returns both."""
    strings = [stop] if isinstance(stop, str) else stop or []
    found = [(text.find(string), string) for string in strings if string and string in text]
    if not found:
        return text, None
    place, string = min(found)
    return text[:place], string
