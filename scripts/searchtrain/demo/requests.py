"""What the scripted roles are sent and what they answer, as JSON.

Invariant: a request that lacks what its role needs is refused with a message that names it.
"""

import json
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
