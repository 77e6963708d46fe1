"""What counts of a chat model's reply, and the JSON object in one.

Invariant: an empty reply is told apart from an empty text, and a reasoning field from the content.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import jsonschema
from jsonschema.exceptions import best_match

from searchtrain.core.errors import ModelError, ReplyError
from searchtrain.core.files import canonical_json
from searchtrain.models.model import Call, Completion

THOUGHT = re.compile(r"^.*</think>", re.DOTALL)
REASONING = ("reasoning", "reasoning_content")
"""Names of the field for reasoning: vLLM (since January 2026) and OpenRouter; SGLang, DeepSeek,
DashScope and older vLLM."""


def read_reply(reply: Any, *, brief: bool) -> dict[str, Any] | None:
    """What counts of a chat completion, as the cache keeps it; None if it is not one.

    `brief`: no thought was asked for (JSON, or the rest of a begun message): then what a server
    took for one is the answer. Raises ModelError `empty`, which may pass, for a reply with neither
    content nor tool call that was not cut; `refused` for one that the model or a filter refuses.
    """
    choices = getattr(reply, "choices", None)
    if not choices or choices[0].message is None:
        return None
    choice, message, usage = choices[0], choices[0].message, reply.usage
    text, finish = message.content, choice.finish_reason or ""
    thought = next((v for n in REASONING if isinstance(v := getattr(message, n, None), str)), None)
    calls = [[call.function.name, call.function.arguments] for call in message.tool_calls or ()]
    if text is None and brief and thought:
        text, thought = thought, None
    if text is None and not calls and finish != "length":
        if said := getattr(message, "refusal", None) or finish * (finish == "content_filter"):
            raise ModelError(f"the model refuses to answer: {said}", "refused")
        about = " (all of it is in the reasoning field)" if thought else ""
        raise ModelError(f"the answer has no content{about}", "empty", passing=True)
    answer = {
        "text": text or "",
        "finish_reason": finish,
        "prompt_tokens": usage.prompt_tokens if usage else 0,
        "completion_tokens": usage.completion_tokens if usage else 0,
        "model": reply.model or "",
    }
    return answer | ({"thought": thought} if thought else {}) | ({"calls": calls} if calls else {})


def make_completion(answer: Mapping[str, Any], *, cached: bool) -> Completion:
    """What `read_reply` made, as a completion; older caches have no `model`: who answered."""
    calls = tuple(Call(name, arguments) for name, arguments in answer.get("calls", ()))
    return Completion(**{**answer, "calls": calls}, cached=cached)


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
    """Find the JSON object in a model's answer that fits `schema`.

    Reasoning up to `</think>`, code fences and prose around the object, with braces or without,
    are ignored; a text of more than `max_chars` is not looked at. Raises ReplyError: `too_large`,
    `not_json` or `schema`.
    """
    if max_chars is not None and len(text) > max_chars:
        raise ReplyError(
            f"The answer has {len(text)} characters; at most {max_chars} are read.", "too_large"
        )
    validator, fault = _make_validator(canonical_json(schema)), None
    try:
        for value in _find_objects(THOUGHT.sub("", text)):
            error = best_match(validator.iter_errors(value))
            if error is None:
                return value
            fault = fault or error
    except RecursionError:
        raise ReplyError("The answer is nested too deeply.", "schema") from None
    if fault is None:
        raise ReplyError(f"The answer is no JSON object: {text[:80]!r}.", "not_json")
    place = "/".join(map(str, fault.absolute_path)) or "the object"
    raise ReplyError(f"The answer's {place} is wrong: {fault.message[:120]}.", "schema")


def _find_objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text, those inside of others left out."""
    decoder, start = json.JSONDecoder(), text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError:
            end = start + 1
        else:
            # Half a surrogate pair (\ud83d) is JSON and no text: no table could hold it.
            if _is_text(json.dumps(value, ensure_ascii=False)):
                yield value
        start = text.find("{", end)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@lru_cache(maxsize=32)
def _make_validator(schema: str) -> jsonschema.Draft202012Validator:
    """A validator takes ten times as long to make as to use."""
    return jsonschema.Draft202012Validator(json.loads(schema))
