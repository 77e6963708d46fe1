"""SGLang: the message of an error at the top, the stop string kept by `no_stop_trim`."""

from typing import Any

from conformance.brain import Speech
from conformance.decoding import Decoded, decode_text
from conformance.endpoints.base import Asked, Endpoint
from conformance.messages import FIELDS, find_shape_fault
from conformance.refusals import Refused, refuse_sglang
from conformance.templates import TemplateFault, render

ROLES = tuple(FIELDS)


class SGLang(Endpoint):
    """vLLM's `include_stop_str_in_output` is ignored, as every unknown field."""

    health = ("/health", "/health_generate")

    def check(self, asked: Asked) -> None:
        fault = find_shape_fault(asked.body.get("messages"), ROLES)
        if fault or not asked.messages:
            place = (
                f"messages[{fault.place}]: {fault.kind}" if fault else "Messages cannot be empty"
            )
            raise refuse_sglang("messages", f"1 validation error: {place}", "messages")
        if not asked.get("temperature", 0) >= 0:
            said = f"temperature must be non-negative, got {asked.body['temperature']}."
            raise refuse_sglang("range", said)
        if not 0 < asked.get("top_p", 1) <= 1:
            raise refuse_sglang("range", f"top_p must be in (0, 1], got {asked.body['top_p']}.")
        if asked.get("top_k", 1) != -1 and asked.get("top_k", 1) < 1:
            raise refuse_sglang("range", f"top_k must be -1 (disable), or at least 1, got"
                                f" {asked.body['top_k']}.")  # fmt: skip
        if not 0 < asked.get("repetition_penalty", 1) <= 2:
            said = f"repetition_penalty must be in [0, 2], got {asked.body['repetition_penalty']}."
            raise refuse_sglang("range", said)

    def render(self, asked: Asked) -> str:
        text = None
        if self.kind.template:
            try:
                text = render(
                    self.kind.template,
                    asked.messages,
                    tools=asked.get("tools", ()),
                    continue_final=self.continues(asked),
                    generation_prompt=not self.continues(asked),
                    **asked.get("chat_template_kwargs", {}),
                )
            except TemplateFault as fault:
                raise refuse_sglang("template", str(fault)) from None
        return super().render(asked) if text is None else text

    def measure_room(self, asked: Asked, prompt: int) -> int | None:
        limit, context = self.read_limit(asked), self.kind.context
        if prompt >= context:
            said = (
                f"The input ({prompt} tokens) is longer than the model's context length ({context}"
                " tokens)."
            )
            raise refuse_sglang("too_long", said)
        if limit is not None and prompt + limit >= context:
            said = (
                f"Requested token count exceeds the model's maximum context length of {context}"
                f" tokens. You requested a total of {prompt + limit} tokens: {prompt} tokens from"
                f" the input messages and {limit} tokens for the completion. Please reduce the"
                " number of tokens in the input messages or the completion to fit within the limit."
            )
            raise refuse_sglang("too_long", said)
        return limit if limit is not None else context - prompt

    def continues(self, asked: Asked) -> bool:
        last = asked.messages[-1]["role"] == "assistant"
        return last and asked.get("continue_final_message", False) is True

    def thinks(self, asked: Asked) -> bool:
        return asked.get("chat_template_kwargs", {}).get("enable_thinking", True) is not False

    def decode(self, asked: Asked, speech: Speech, limit: int | None, prompt: str) -> Decoded:
        return decode_text(
            speech,
            opened=self.kind.opens,
            stop=asked.stop,
            limit=limit,
            keep=asked.get("no_stop_trim", False),
            parser=self.kind.parser if asked.get("separate_reasoning", True) else None,
        )

    def reply(self, asked: Asked, decoded: Decoded, prompt: int) -> dict[str, Any]:
        message = self.make_message(decoded, "reasoning_content")
        message.setdefault("tool_calls", None)
        matched = decoded.stopped_by or (151645 if decoded.finish == "stop" else None)
        reply = self.make_reply(asked, message, decoded, prompt, matched_stop=matched)
        reply["usage"] |= {"prompt_tokens_details": None, "reasoning_tokens": 0}
        return reply | {"metadata": {"weight_version": "default"}}

    def describe_models(self) -> list[dict[str, Any]]:
        return [
            {**card, "root": card["id"], "max_model_len": self.kind.context}
            for card in super().describe_models()
        ]

    def refuse_key(self) -> Refused:
        return Refused("key", 401, {"error": "Unauthorized"})
