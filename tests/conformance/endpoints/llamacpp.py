"""llama.cpp's server: goes on with a last assistant message by itself; all of it [R]."""

from typing import Any

from conformance.brain import Speech
from conformance.decoding import Decoded, decode_text
from conformance.endpoints.base import CHAT, Asked, Endpoint
from conformance.messages import find_shape_fault
from conformance.refusals import Refused, refuse_llamacpp
from conformance.templates import TemplateFault, render


class LlamaCpp(Endpoint):
    """Unknown fields are ignored; the model's name is, too."""

    paths = (CHAT, "/chat/completions")
    health = ("/health",)

    def check(self, asked: Asked) -> None:
        body = asked.body
        if "messages" not in body:
            raise refuse_llamacpp("messages", "'messages' is required")
        fault = find_shape_fault(body["messages"], None)
        if fault or not body["messages"]:
            raise refuse_llamacpp("messages", "Expected 'messages' to be an array of messages")
        wanted = asked.get("response_format", {})
        kind = wanted.get("type", "text")
        if kind not in ("text", "json_object", "json_schema"):
            said = f'response_format type must be one of "text" or "json_object", but got: {kind}'
            raise refuse_llamacpp("response_format", said)
        if kind == "json_schema" and "schema" not in (wanted.get("json_schema") or {}):
            raise refuse_llamacpp("response_format", "json_schema must have a 'schema'")
        if len(asked.messages) > 1 and all(
            message["role"] == "assistant" for message in asked.messages[-2:]
        ):
            said = "Cannot have 2 or more assistant messages at the end of the list."
            raise refuse_llamacpp("two_assistants", said)

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
                )
            except TemplateFault as fault:
                raise refuse_llamacpp("template", str(fault)) from None
        return super().render(asked) if text is None else text

    def measure_room(self, asked: Asked, prompt: int) -> int | None:
        context = self.kind.context
        if prompt >= context:
            said = (
                f"request ({prompt} tokens) exceeds the available context size ({context} tokens),"
                " try increasing it"
            )
            sizes = {"n_prompt_tokens": prompt, "n_ctx": context}
            raise refuse_llamacpp("too_long", said, "exceed_context_size_error", **sizes)
        # What does not fit behind the prompt is cut, not refused.
        limit = self.read_limit(asked)
        room = context - prompt
        return room if limit is None or limit < 0 else min(limit, room)

    def continues(self, asked: Asked) -> bool:
        last = asked.messages[-1]
        return last["role"] == "assistant" and not last.get("tool_calls")

    def decode(self, asked: Asked, speech: Speech, limit: int | None, prompt: str) -> Decoded:
        return decode_text(speech, opened=False, stop=asked.stop, limit=limit, keep=False)

    def reply(self, asked: Asked, decoded: Decoded, prompt: int) -> dict[str, Any]:
        reply = self.make_reply(asked, self.make_message(decoded), decoded, prompt)
        del reply["choices"][0]["logprobs"]
        reply["system_fingerprint"] = "b6500-imitation"
        timings = {"prompt_n": prompt, "predicted_n": decoded.tokens}
        return reply | {"timings": timings}

    def refuse_key(self) -> Refused:
        error = {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}
        return Refused("key", 401, {"error": error})
