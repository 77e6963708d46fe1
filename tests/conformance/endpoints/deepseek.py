"""api.deepseek.com (V4): thinks unless told not to, keeps waiting clients with empty lines."""

import json
from typing import Any

from conformance.decoding import Decoded
from conformance.endpoints.base import CHAT, Asked, Endpoint
from conformance.endpoints.openai_rules import mentions_json
from conformance.messages import Fault, find_fault
from conformance.refusals import Refused, refuse_openai

ROLES = ("system", "user", "assistant", "tool")
MAX_OUTPUT = 393_216
CODE = "invalid_request_error"
RANGES = {"temperature": (0, 2), "top_p": (0, 1)}


class DeepSeek(Endpoint):
    """Fields that it does not know are ignored [R], `seed` and `top_k` among them."""

    paths = (CHAT, "/chat/completions", "/beta/chat/completions", "/beta/v1/chat/completions")

    def check(self, asked: Asked) -> None:
        body = asked.body
        if body.get("model") not in self.kind.models:
            raise _refuse(
                "model",
                f"The supported API model names are {' or '.join(self.kind.models)}, but you passed"
                f" {body.get('model')}.",
            )
        if fault := find_fault(body.get("messages"), ROLES):
            raise _word_fault(fault, body)
        self._check_thought(asked)
        self._check_numbers(asked)
        wanted = asked.get("response_format", {})
        kind = wanted.get("type", "text") if isinstance(wanted, dict) else None
        if kind not in ("text", "json_object"):
            raise _refuse("json_schema", "This response_format type is unavailable now")
        if kind == "json_object" and not mentions_json(asked):
            raise _refuse(
                "json_word",
                "Prompt must contain the word 'json' in some form to use 'response_format' of type"
                " 'json_object'.",
            )

    def _check_thought(self, asked: Asked) -> None:
        switch = asked.get("thinking", {})
        if not isinstance(switch, dict) or switch.get("type", "enabled") not in (
            "enabled",
            "disabled",
        ):
            raise _refuse(
                "thinking", "Invalid thinking type, it should be enabled or disabled"
            )  # [R]
        if not self.thinks(asked):
            return
        for message in asked.messages:
            if message.get("tool_calls") and not message.get("reasoning_content"):
                raise _refuse(
                    "reasoning_content",
                    "The `reasoning_content` in the thinking mode must be passed back to the API.",
                )

    def _check_numbers(self, asked: Asked) -> None:
        limit = asked.get("max_tokens", 1)
        if not isinstance(limit, int) or not 1 <= limit <= MAX_OUTPUT:
            said = f"Invalid max_tokens value, the valid range of max_tokens is [1, {MAX_OUTPUT}]"
            raise _refuse("max_tokens", said)
        for name, (low, high) in RANGES.items():
            value = asked.get(name, high)
            if not isinstance(value, int | float) or not low <= value <= high:
                said = f"Invalid {name} value, the valid range of {name} is [{low}, {high}.0]"
                raise _refuse("range", said)
        if len(asked.stop) > 16:
            raise _refuse("stop", "Invalid stop value, at most 16 sequences are supported")  # [R]

    def measure_room(self, asked: Asked, prompt: int) -> int | None:
        # `max_completion_tokens` is ignored [R].
        limit = asked.get("max_tokens")
        context = self.kind.context
        if prompt + (limit or 1) > context:
            raise _refuse(
                "too_long",
                f"This model's maximum context length is {context} tokens. However, you requested"
                f" {prompt + (limit or 0)} tokens ({prompt} in the messages, {limit or 0} in the"
                " completion). Please reduce the length of the messages or completion.",
            )
        return limit if limit is not None else context - prompt

    def thinks(self, asked: Asked) -> bool:
        return asked.get("thinking", {}).get("type", "enabled") != "disabled"

    def continues(self, asked: Asked) -> bool:
        last = asked.messages[-1]
        return (
            asked.path.startswith("/beta")
            and last["role"] == "assistant"
            and last.get("prefix") is True
        )

    def reply(self, asked: Asked, decoded: Decoded, prompt: int) -> dict[str, Any]:
        field = "reasoning_content" if self.thinks(asked) else None
        message = self.make_message(decoded, field)
        if decoded.calls:
            message["content"] = decoded.content or ""
        reply = self.make_reply(asked, message, decoded, prompt)
        reply["id"] = f"{asked.number:08x}-0000-4000-8000-000000000000"
        reply["system_fingerprint"] = "fp_imitation_prod"
        usage = reply["usage"]
        usage |= {
            "prompt_tokens_details": {"cached_tokens": 0},
            "prompt_cache_hit_tokens": 0,
            "prompt_cache_miss_tokens": prompt,
        }
        if self.thinks(asked):
            usage["completion_tokens_details"] = {"reasoning_tokens": decoded.thought_tokens}
        return reply

    def refuse_key(self) -> Refused:
        said = "Authentication Fails, Your api key is invalid"
        return refuse_openai("key", said, code=CODE, status=401, type_="authentication_error")


def _refuse(reason: str, message: str) -> Refused:
    return refuse_openai(reason, message, code=CODE)


def _word_fault(fault: Fault, body: Any) -> Refused:
    """Faults of form come from its parser, which names a column; others are worded as OpenAI's."""
    place, column = fault.place, len(json.dumps(body))
    where = f"Failed to deserialize the JSON body into the target type: messages[{place}]"
    at = f" at line 1 column {column}"
    known = ", ".join(f"`{role}`" for role in ROLES)
    said = {
        "form": f"{where}: missing field `role`{at}",
        "role": f"{where}.role: unknown variant `{fault.detail}`, expected one of {known}{at}",
        "content": f"{where}: missing field `content`{at}",
        "tool_call_id": f"{where}: missing field `tool_call_id`{at}",
        "calls": f"{where}.tool_calls: invalid type{at}",
        "orphan": (
            "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
        ),
        "unanswered": (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to"
            " each 'tool_call_id'. (insufficient tool messages following tool_calls message)"
        ),
    }[fault.kind]
    return _refuse(f"messages:{fault.kind}", said)
