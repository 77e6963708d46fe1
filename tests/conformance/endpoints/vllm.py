"""vLLM 0.28's OpenAI server, under the true chat templates."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from conformance.brain import LOST, Speech
from conformance.decoding import Decoded, decode_text
from conformance.endpoints.base import Asked, Endpoint
from conformance.endpoints.vllm_rules import check_request
from conformance.messages import Fault, find_shape_fault
from conformance.refusals import Refused, refuse_vllm, refuse_vllm_field
from conformance.templates import TemplateFault, render

NO_ROLE_AFTER_TOOL = "<｜tool▁outputs▁end｜>"  # noqa: RUF001
"""R1's prompt ends with this behind a role `tool`: nothing says whose turn it is."""
TOOL_ORPHAN = "Message has tool role, but there was no previous assistant message with a tool call!"


class Vllm(Endpoint):
    """`kind.template`, `kind.parser` and `kind.field` say which model is served, and how."""

    health = ("/health", "/version", "/ping")

    def check(self, asked: Asked) -> None:
        body = asked.body
        fault = find_shape_fault(body.get("messages"), None)
        if fault:
            raise _word_fault(fault)
        check_request(asked)
        model = asked.get("model")
        if model is not None and model not in self.kind.models:
            said = f"The model `{model}` does not exist."
            raise refuse_vllm("model", said, param="model", status=404, type_="NotFoundError")
        if not asked.messages:
            raise refuse_vllm("messages:empty", "list index out of range")
        if asked.get("tools") and not self.kind.calls:
            said = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to'
            raise refuse_vllm("tools", f"{said} be set")

    def render(self, asked: Asked) -> str:
        if self.kind.template is None:
            return super().render(asked)
        try:
            text = render(
                self.kind.template,
                asked.messages,
                tools=asked.get("tools", ()),
                continue_final=self.continues(asked),
                generation_prompt=asked.get("add_generation_prompt", True),
                **asked.get("chat_template_kwargs", {}),
            )
        except TemplateFault as fault:
            raise refuse_vllm("template", str(fault)) from None
        return super().render(asked) if text is None else text

    def measure_room(self, asked: Asked, prompt: int) -> int | None:
        limit, context = self.read_limit(asked), self.kind.context
        if limit is not None and limit > context:
            said = (
                f"max_tokens={limit} cannot be greater than"
                f" max_model_len=max_total_tokens={context}. Please request fewer output tokens."
            )
            raise refuse_vllm("max_tokens", said, param="max_tokens")
        wanted = limit or 0
        if prompt + wanted > context or prompt >= context:
            # The tokenizer stops one token behind what would fit.
            least = context - wanted + 1
            said = (
                f"This model's maximum context length is {context} tokens. However, you requested"
                f" {wanted} output tokens and your prompt contains at least {least} input tokens,"
                f" for a total of at least {least + wanted} tokens. Please reduce the length of the"
                " input prompt or the number of requested output tokens."
            )
            raise refuse_vllm("too_long", said, param="input_tokens")
        return limit if limit is not None else context - prompt

    def read_messages(self, asked: Asked, prompt: str) -> Sequence[Mapping[str, Any]]:
        # Llama's template makes one JSON string of a role `tool`.
        return [
            {**message, "content": json.dumps(message["content"], ensure_ascii=False)}
            if message["role"] == "tool"
            and message["content"] not in prompt
            and json.dumps(message["content"], ensure_ascii=False) in prompt
            else message
            for message in asked.messages
        ]

    def continues(self, asked: Asked) -> bool:
        return asked.get("continue_final_message", False) is True

    def thinks(self, asked: Asked) -> bool:
        if self.kind.opens:
            # QwQ's and R1's templates know no switch.
            return not self._binds_at_once(asked)
        return self._parser_thinks(asked) and not self._binds_at_once(asked)

    def _parser_thinks(self, asked: Asked) -> bool:
        switch = asked.get("chat_template_kwargs", {}).get("enable_thinking", True)
        return switch is not False and asked.get("reasoning_effort") != "none"

    def _binds_at_once(self, asked: Asked) -> bool:
        """Whether a grammar binds from the first token: without a parser it does."""
        kind = asked.get("response_format", {}).get("type", "text")
        return kind != "text" and self.kind.parser is None

    def speak(self, asked: Asked, dialogue: Any, limit: int | None, prompt: str) -> Speech:
        if prompt.endswith(NO_ROLE_AFTER_TOOL):
            self.ledger.deviations["lost"] += 1
            return Speech(f"\n{LOST}")
        return super().speak(asked, dialogue, limit, prompt)

    def decode(self, asked: Asked, speech: Speech, limit: int | None, prompt: str) -> Decoded:
        return decode_text(
            speech,
            opened=self.kind.opens,
            stop=asked.stop,
            limit=limit,
            keep=asked.get("include_stop_str_in_output", False),
            parser=self.kind.parser,
            thinking=self._parser_thinks(asked),
        )

    def reply(self, asked: Asked, decoded: Decoded, prompt: int) -> dict[str, Any]:
        message = self.make_message(decoded)
        thought = decoded.thought if asked.get("include_reasoning", True) else None
        if asked.get("echo") and asked.messages[-1]["role"] == "assistant":
            message["content"] = asked.messages[-1]["content"] + (message["content"] or "")
        message |= {"refusal": None, "annotations": None, "audio": None, "function_call": None}
        message[self.kind.field] = thought
        reply = self.make_reply(
            asked, message, decoded, prompt,
            stop_reason=decoded.stopped_by, token_ids=None, routed_experts=None,
        )  # fmt: skip
        details = {"reasoning_tokens": decoded.thought_tokens} if self.kind.parser else None
        reply["usage"] |= {"prompt_tokens_details": None, "completion_tokens_details": details}
        empty = ("service_tier", "system_fingerprint", "prompt_logprobs", "prompt_token_ids")
        return reply | dict.fromkeys(empty) | {"prompt_text": None, "kv_transfer_params": None}

    def describe_models(self) -> list[dict[str, Any]]:
        more = {"parent": None, "max_model_len": self.kind.context, "permission": []}
        return [
            {**card, "owned_by": "vllm", "root": f"/models/{card['id']}", **more}
            for card in super().describe_models()
        ]

    def refuse_key(self) -> Refused:
        return Refused("key", 401, {"error": "Unauthorized"})


class VllmHarmony(Vllm):
    """gpt-oss: rendered without a template; going on with a message is ignored."""

    def check(self, asked: Asked) -> None:
        super().check(asked)
        called: set[str] = set()
        for message in asked.messages:
            called |= {call["id"] for call in message.get("tool_calls") or ()}
            if message["role"] == "tool" and not called:
                raise refuse_vllm("messages:orphan", TOOL_ORPHAN)

    def continues(self, asked: Asked) -> bool:
        return False

    def thinks(self, asked: Asked) -> bool:
        return True

    def decode(self, asked: Asked, speech: Speech, limit: int | None, prompt: str) -> Decoded:
        # Its channels are no tags, but thought and answer are told apart in the same way.
        thought = speech.thought if speech.thought is not None else ""
        whole = Speech(speech.content, thought, speech.closed, speech.calls)
        decoded = decode_text(
            whole,
            opened=False,
            stop=asked.stop,
            limit=limit,
            keep=asked.get("include_stop_str_in_output", False),
            parser="qwen3",
        )
        trimmed = decoded.content.lstrip("\n") if decoded.content else None
        thought = (decoded.thought or "").strip("\n")
        return Decoded(
            trimmed, thought, decoded.finish, decoded.stopped_by, decoded.tokens,
            decoded.thought_tokens, decoded.calls,
        )  # fmt: skip


def _word_fault(fault: Fault) -> Refused:
    if fault.kind == "form" and fault.detail is None:
        return refuse_vllm_field("missing", "messages", "Field required", None)
    said = {"form": "Input should be a valid list", "content": "Input should be a valid string"}
    message = said.get(fault.kind, "Input should be a valid dictionary")
    return refuse_vllm_field(f"messages:{fault.kind}", "messages", message, fault.detail)
