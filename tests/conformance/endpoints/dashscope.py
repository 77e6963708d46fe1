"""DashScope's compatible mode: Qwen3 with open weights, and QwQ, which only streams."""

from typing import Any

from conformance.decoding import Decoded
from conformance.endpoints.base import CHAT, Asked, Endpoint
from conformance.endpoints.openai_rules import mentions_json
from conformance.messages import Fault, find_fault
from conformance.refusals import Refused, refuse_dashscope

ROLES = ("system", "user", "assistant", "tool", "function")
MAX_OUTPUT = 8192
RANGES = {
    # From, to, and whether the upper end is taken itself [R].
    "temperature": (0.0, 2.0, False),
    "top_p": (0.0, 1.0, True),
    "repetition_penalty": (0.0, float("inf"), False),
    "top_k": (0, 100, True),
    "seed": (0, 2**31 - 1, True),
}


class DashScope(Endpoint):
    """`kind.streams_only`: QwQ. Unknown fields are ignored."""

    paths = (CHAT, "/compatible-mode/v1/chat/completions")

    def check(self, asked: Asked) -> None:
        body = asked.body
        if body.get("model") not in self.kind.models:
            said = (
                f"The model `{body.get('model')}` does not exist or you do not have access to it."
            )
            raise refuse_dashscope("model", said, status=404)
        if fault := find_fault(body.get("messages"), ROLES):
            raise _word_fault(fault)
        if not asked.get("stream"):
            self._check_streaming(asked)
        for name, (low, high, closed) in RANGES.items():
            value = asked.get(name)
            if value is not None and not (low <= value < high or (closed and value == high)):
                ends = f"[{low}, {high}{']' if closed else ')'}"
                raise refuse_dashscope("range", f"{name} should be in {ends}", algorithm=True)
        limit = self.read_limit(asked)
        if limit is not None and not 1 <= limit <= MAX_OUTPUT:
            said = f"Range of max_tokens should be [1, {MAX_OUTPUT}]"
            raise refuse_dashscope("max_tokens", said, algorithm=True)
        self._check_format(asked)

    def _check_streaming(self, asked: Asked) -> None:
        if self.kind.streams_only:
            said = (
                "This model only support stream mode, please enable the stream parameter to access"
                " the model."
            )
            raise refuse_dashscope("stream_only", said)
        if self.kind.mind.native and asked.get("enable_thinking", True):
            said = "parameter.enable_thinking must be set to false for non-streaming calls"
            raise refuse_dashscope("enable_thinking", said)

    def _check_format(self, asked: Asked) -> None:
        kind = asked.get("response_format", {}).get("type", "text")
        if kind == "json_object" and not mentions_json(asked):
            said = (
                "'messages' must contain the word 'json' in some form, to use 'response_format' of"
                " type 'json_object'."
            )
            raise refuse_dashscope("json_word", said, algorithm=True)
        if kind != "text" and self.kind.mind.native and self.thinks(asked):  # [R]
            said = "Json mode response is not supported when enable_thinking is true"
            raise refuse_dashscope("json_thinking", said, algorithm=True)

    def measure_room(self, asked: Asked, prompt: int) -> int | None:
        longest = self.kind.context
        if prompt > longest:
            said = f"Range of input length should be [1, {longest}]"
            raise refuse_dashscope("too_long", said, algorithm=True)
        limit = self.read_limit(asked)
        return limit if limit is not None else MAX_OUTPUT

    def thinks(self, asked: Asked) -> bool:
        return self.kind.streams_only or asked.get("enable_thinking", True) is True

    def has_grammar(self, asked: Asked) -> bool:
        # Older models answer to a json_schema in free text [R].
        return asked.get("response_format", {}).get("type") == "json_object"

    def continues(self, asked: Asked) -> bool:
        last = asked.messages[-1]
        return last["role"] == "assistant" and last.get("partial") is True

    def reply(self, asked: Asked, decoded: Decoded, prompt: int) -> dict[str, Any]:
        native = self.kind.mind.native
        message = self.make_message(decoded, "reasoning_content" if native else None)
        if native:
            message["reasoning_content"] = message["reasoning_content"] or ""
        reply = self.make_reply(asked, message, decoded, prompt)
        reply["system_fingerprint"] = None
        reply["usage"]["prompt_tokens_details"] = {"cached_tokens": 0}
        if decoded.thought_tokens:
            details = {"reasoning_tokens": decoded.thought_tokens}
            reply["usage"]["completion_tokens_details"] = details
        return reply

    def refuse_key(self) -> Refused:
        refused = refuse_dashscope("key", "Incorrect API key provided.", status=401)
        refused.body["error"]["code"] = "invalid_api_key"  # type: ignore[index]
        return refused


def _word_fault(fault: Fault) -> Refused:
    if fault.kind in ("orphan", "tool_call_id"):
        said = 'messages with role "tool" must be a response to a preceeding message with'
        said += ' "tool_calls".'
    elif fault.kind == "role":  # [R], as what follows
        where = f"'messages.{fault.place}.role'"
        said = f"{fault.detail!r} is not one of {list(ROLES)} - {where}"
    else:
        said = f"'messages.{fault.place}' is not valid ({fault.kind})"
    return refuse_dashscope(f"messages:{fault.kind}", said, algorithm=True)
