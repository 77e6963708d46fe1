"""OpenRouter: a provider's refusal in an envelope, and errors that come with status 200."""

from typing import Any

from conformance.decoding import Decoded
from conformance.endpoints.base import CHAT, Asked, Endpoint
from conformance.endpoints.openai_rules import check_format, check_tools, word_fault
from conformance.messages import find_fault
from conformance.refusals import Refused, refuse_openrouter, wrap_openrouter

ROLES = ("system", "developer", "user", "assistant", "tool")
TROUBLES = (502, 503, 408)
"""Codes of the errors that come with status 200, in turn."""


class OpenRouter(Endpoint):
    """Unknown fields are dropped; every `kind.every`-th answer is an error without choices."""

    paths = (CHAT, "/api/v1/chat/completions")

    def check(self, asked: Asked) -> None:
        model = asked.body.get("model")
        if model not in self.kind.models:
            raise refuse_openrouter("model", f"{model} is not a valid model ID")
        try:
            if fault := find_fault(asked.body.get("messages"), ROLES):
                raise word_fault(fault)
            check_format(asked)
            check_tools(asked)
        except Refused as refused:
            raise wrap_openrouter(refused) from None

    def measure_room(self, asked: Asked, prompt: int) -> int | None:
        limit = self.read_limit(asked)
        context = self.kind.context
        asked_for = prompt + (limit or 0)
        if asked_for > context:
            raise refuse_openrouter(
                "too_long",
                f"This endpoint's maximum context length is {context} tokens. However, you"
                f" requested about {asked_for} tokens ({prompt} of text input, {limit or 0} in the"
                " output)."
                ' Please reduce the length of either one, or use the "middle-out" transform to'
                " compress your prompt automatically.",
            )
        return limit if limit is not None else context - prompt

    def thinks(self, asked: Asked) -> bool:
        switch = asked.get("reasoning", {})
        return switch.get("enabled", True) and switch.get("effort") != "none"

    def reply(self, asked: Asked, decoded: Decoded, prompt: int) -> dict[str, Any]:
        if self.kind.every and asked.number % self.kind.every == 0:
            self.ledger.refusals["error_200"] += 1
            return self._fail(asked)
        message = self.make_message(decoded, "reasoning") | {"refusal": None}
        if asked.get("reasoning", {}).get("exclude"):
            message["reasoning"] = None
        if message["reasoning"]:
            detail = {"type": "reasoning.text", "text": decoded.thought, "index": 0}
            message["reasoning_details"] = [detail]
        native = {"stop": "stop", "length": "length", "tool_calls": "tool_calls"}[decoded.finish]
        reply = self.make_reply(asked, message, decoded, prompt, native_finish_reason=native)
        reply["id"] = f"gen-1700000000-{asked.number:08d}"
        reply["provider"] = "Imitation"
        details = {"reasoning_tokens": decoded.thought_tokens}
        reply["usage"] |= {
            "completion_tokens_details": details,
            "prompt_tokens_details": {"cached_tokens": 0},
            "cost": 0.0,
        }
        return reply

    def _fail(self, asked: Asked) -> dict[str, Any]:
        """An error while the answer is written: status 200, no choices."""
        code = TROUBLES[asked.number // self.kind.every % len(TROUBLES)]
        return {
            "id": f"gen-1700000000-{asked.number:08d}",
            "object": "chat.completion",
            "created": 1700000000,
            "model": asked.get("model"),
            "provider": "Imitation",
            "error": {
                "message": "Provider returned error",
                "code": code,
                "metadata": {"raw": "upstream connect error", "provider_name": "Imitation"},
            },
            "user_id": "user_1",
        }

    def refuse_key(self) -> Refused:
        return refuse_openrouter("key", "No auth credentials found", 401)
