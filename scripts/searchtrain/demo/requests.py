"""What the scripted roles are sent and what they answer, as JSON and as chat completions.

Invariant: a request that lacks what its role needs is refused with a message that names it; a
completion is cut at the first stop string and at `max_tokens` words.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

TYPE_NAMES: dict[type, str] = {dict: "an object", list: "an array", str: "a text"}


class Refusal(Exception):
    """The request cannot be answered: HTTP status 400."""


def read_object(text: str | bytes, what: str) -> dict[str, Any]:
    """Read a JSON object; raises Refusal, naming what it is, for anything else."""
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refusal(f"{what} is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise Refusal(f"{what} is not a JSON object")
    return body


def read_request(text: str, role: str, **fields: type) -> dict[str, Any]:
    """The JSON object that a user message is; raises Refusal when it lacks one of the fields."""
    body = read_object(text, "the user message")
    for name, kind in fields.items():
        if not isinstance(body.get(name), kind):
            raise Refusal(f"a {role} needs {name}, {TYPE_NAMES[kind]}")
    return body


def render_reply(**fields: Any) -> str:
    """An answer's fields as JSON."""
    return json.dumps(fields, ensure_ascii=False)


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
