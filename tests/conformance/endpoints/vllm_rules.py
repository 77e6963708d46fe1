"""vLLM 0.28's rules for the fields of a request, in its own words."""

import math
from typing import Any

from conformance.endpoints.base import Asked
from conformance.refusals import Refused, refuse_vllm, refuse_vllm_field

TYPES: dict[str, tuple[type, ...]] = {
    "temperature": (int, float), "top_p": (int, float), "min_p": (int, float),
    "repetition_penalty": (int, float), "frequency_penalty": (int, float),
    "presence_penalty": (int, float), "top_k": (int,), "seed": (int,), "max_tokens": (int,),
    "max_completion_tokens": (int,), "min_tokens": (int,), "n": (int,), "stream": (bool,),
    "echo": (bool,), "include_reasoning": (bool,), "add_generation_prompt": (bool,),
    "continue_final_message": (bool,), "include_stop_str_in_output": (bool,),
    "chat_template_kwargs": (dict,), "model": (str,), "stop_token_ids": (list,),
}  # fmt: skip
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
SCHEMA_TYPES = {"object", "array", "string", "integer", "number", "boolean", "null"}
MAX_STOPS = 4


def check_request(asked: Asked) -> None:
    """Raise Refused for a field with a value that vLLM does not take; unknown ones are ignored."""
    for name, types in TYPES.items():
        value = asked.get(name)
        if value is None:
            continue
        wrong = isinstance(value, bool) and bool not in types
        if wrong or not isinstance(value, types):
            wanted = {int: "integer", float: "number", bool: "boolean", dict: "dictionary"}
            kind = wanted.get(types[-1], "string")
            raise refuse_vllm_field("type", name, f"Input should be a valid {kind}", value)
    if not -(2**63) <= asked.get("seed", 0) < 2**63:
        said = f"Input should be less than or equal to {2**63 - 1}"
        raise refuse_vllm_field("less_than_equal", "seed", said, asked.body["seed"])
    _check_stop(asked)
    _check_sampling(asked)
    if asked.get("continue_final_message") and asked.body.get("add_generation_prompt") is True:
        said = "Cannot set both `continue_final_message` and `add_generation_prompt` to True."
        raise refuse_vllm("both_prompts", said)
    if asked.get("stream_options") and not asked.get("stream"):
        said = "Stream options can only be defined when `stream=True`."
        raise refuse_vllm("stream_options", said, param="stream_options")
    effort = asked.get("reasoning_effort", "none")
    if effort not in EFFORTS:
        said = f"Input should be {', '.join(repr(each) for each in EFFORTS)}"
        raise refuse_vllm_field("literal_error", "reasoning_effort", said, effort)
    if asked.body.get("tools") == []:
        said = "`tools` must not be an empty array. Either provide at least one tool or omit the"
        raise refuse_vllm("tools", f"{said} field entirely.", param="tools")
    _check_format(asked)


def _check_stop(asked: Asked) -> None:
    stop = asked.stop
    if len(stop) > MAX_STOPS:
        said = f"List should have at most {MAX_STOPS} items after validation, not {len(stop)}"
        raise refuse_vllm_field("too_long", "stop", said, stop)
    if any(not isinstance(text, str) for text in stop):
        raise refuse_vllm_field("string_type", "stop", "Input should be a valid string", stop)
    if any(not text for text in stop):
        raise refuse_vllm("stop", "stop cannot contain an empty string.")


def _check_sampling(asked: Asked) -> None:
    def refuse(name: str, said: str, *, named: bool = True) -> Refused:
        param = name if named else None
        return refuse_vllm("range", f"{said}, got {asked.body[name]}.", param=param)

    if not math.isfinite(asked.get("temperature", 0)) or asked.get("temperature", 0) < 0:
        raise refuse("temperature", "temperature must be non-negative")
    if asked.get("temperature", 0) > 2:
        raise refuse("temperature", "temperature must be in [0, 2]")
    if not 0 < asked.get("top_p", 1) <= 1:
        raise refuse("top_p", "top_p must be in (0, 1]")
    if asked.get("top_k", 0) < -1:
        raise refuse("top_k", "top_k must be 0 (disable), or at least 1", named=False)
    if asked.get("repetition_penalty", 1) <= 0:
        raise refuse(
            "repetition_penalty", "repetition_penalty must be greater than zero", named=False
        )
    if not 0 <= asked.get("min_p", 0) <= 1:
        raise refuse("min_p", "min_p must be in [0, 1]", named=False)
    for name in ("max_tokens", "max_completion_tokens"):
        if asked.get(name, 1) < 1:
            said = f"max_tokens must be at least 1, got {asked.body[name]}."
            raise refuse_vllm("range", said, param="max_tokens")


def _check_format(asked: Asked) -> None:
    wanted = asked.get("response_format")
    if wanted is None:
        return
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind not in ("text", "json_object", "json_schema", "structural_tag"):
        said = "Input should be 'text', 'json_object' or 'json_schema'"
        raise refuse_vllm_field("literal_error", "response_format", said, wanted)
    if kind != "json_schema":
        return
    inner = wanted.get("json_schema")
    if inner is None:
        said = (
            "When response_format type is 'json_schema', the 'json_schema' field must be provided."
        )
        raise refuse_vllm("response_format", said, param="response_format")
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
        raise refuse_vllm_field("missing", "response_format", "Field required", inner)
    if bad := _find_bad_type(inner.get("schema") or {}):
        raise refuse_vllm("grammar", f"Grammar error: Invalid type: {bad}")


def _find_bad_type(schema: Any) -> str | None:
    if isinstance(schema, list):
        return next(filter(None, map(_find_bad_type, schema)), None)
    if not isinstance(schema, dict):
        return None
    kind = schema.get("type")
    if isinstance(kind, str) and kind not in SCHEMA_TYPES:
        return kind
    parts = [*(schema.get("properties") or {}).values(), schema.get("items")]
    return _find_bad_type(parts)
