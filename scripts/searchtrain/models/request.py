"""One request to a chat model: what is sent, under which key it is kept, what counts of the reply.

Invariant: equal keys mean equal requests, whatever the endpoint; earlier caches hold these keys,
so what changes a body here has every answer paid for again.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import jsonschema
from jsonschema.exceptions import best_match

from searchtrain.core.errors import InputError, ReplyError
from searchtrain.core.files import canonical_json, digest
from searchtrain.models.model import Message
from searchtrain.models.role import Role

JSON_OBJECT = re.compile(r"\{.*\}", re.DOTALL)
THOUGHT = re.compile(r"^.*</think>", re.DOTALL)


def make_body(
    role: Role,
    messages: Sequence[Message],
    seed: int,
    stop: Sequence[str] = (),
    prefill: str = "",
    schema: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The arguments of a chat completion; raises InputError for a prefill that no server takes."""
    sent = [dict(message) for message in messages]
    body: dict[str, Any] = {"model": role.model, "seed": seed, **role.sampling}
    if stop:
        body["stop"] = list(stop)
    if schema:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": True},
        }
    extra: dict[str, Any] = {}
    if role.dialect == "vllm" and stop:
        extra["include_stop_str_in_output"] = True
    if prefill:
        if role.dialect != "vllm":
            raise InputError(
                f"models.{role.name}: ending a rollout with a forced answer needs a server"
                " that can continue a message; set dialect: vllm or turn the forced answer off"
            )
        sent.append({"role": "assistant", "content": prefill})
        extra |= {"continue_final_message": True, "add_generation_prompt": False}
    body["messages"] = sent
    if extra:
        body["extra_body"] = extra
    return body


def make_key(role: Role, body: Mapping[str, Any]) -> str:
    """The request's key in the cache: all that is sent and the revision, never the URL."""
    return digest({"revision": role.revision, **body})


def read_reply(reply: Any) -> dict[str, Any] | None:
    """What counts of a chat completion, as the cache keeps it; None if it is not one.

    Older entries of a cache have no `model`, the name of who answered.
    """
    choices = getattr(reply, "choices", None)
    if not choices or choices[0].message is None:
        return None
    usage = reply.usage
    return {
        "text": choices[0].message.content or "",
        "finish_reason": choices[0].finish_reason or "",
        "prompt_tokens": usage.prompt_tokens if usage else 0,
        "completion_tokens": usage.completion_tokens if usage else 0,
        "model": reply.model or "",
    }


def make_object_schema(**properties: Any) -> dict[str, Any]:
    """JSON Schema of an object that has all of these properties and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def parse_object(
    text: str, schema: Mapping[str, Any], max_chars: int | None = None
) -> dict[str, Any]:
    """Find the JSON object in a model's answer and check it against `schema`.

    Reasoning up to `</think>`, code fences and prose around the object are ignored; a text of more
    than `max_chars` is not looked at. Raises ReplyError: `too_large`, `not_json` or `schema`.
    """
    if max_chars is not None and len(text) > max_chars:
        raise ReplyError(
            f"The answer has {len(text)} characters; at most {max_chars} are read.", "too_large"
        )
    match = JSON_OBJECT.search(THOUGHT.sub("", text))
    try:
        value: dict[str, Any] = json.loads(match[0] if match else "")
        # Half a surrogate pair (\ud83d) is JSON and no text: no table could hold it.
        json.dumps(value, ensure_ascii=False).encode()
        error = best_match(_make_validator(canonical_json(schema)).iter_errors(value))
    except (json.JSONDecodeError, UnicodeEncodeError):
        raise ReplyError(f"The answer is no JSON object: {text[:80]!r}.", "not_json") from None
    except RecursionError:
        raise ReplyError("The answer is nested too deeply.", "schema") from None
    if error is not None:
        place = "/".join(map(str, error.absolute_path)) or "the object"
        raise ReplyError(f"The answer's {place} is wrong: {error.message[:120]}.", "schema")
    return value


@lru_cache(maxsize=32)
def _make_validator(schema: str) -> jsonschema.Draft202012Validator:
    """A validator takes ten times as long to make as to use."""
    return jsonschema.Draft202012Validator(json.loads(schema))
