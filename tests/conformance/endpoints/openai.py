"""api.openai.com: models of the gpt-4o kind, and those that reason (o-series, GPT-5 and later)."""

from typing import Any, ClassVar

from conformance.brain import Speech
from conformance.decoding import Decoded, decode_apart
from conformance.endpoints.base import Asked, Endpoint
from conformance.endpoints.openai_rules import (
    check_format,
    check_integers,
    check_tools,
    refuse_parameter,
    refuse_type,
    word_fault,
)
from conformance.messages import FIELDS, find_fault
from conformance.refusals import Refused, refuse_openai

ROLES = tuple(FIELDS)
KNOWN = frozenset(
    [
        "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
        "max_completion_tokens", "max_tokens", "messages", "metadata", "modalities", "model", "n",
        "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
        "prompt_cache_retention", "response_format", "safety_identifier", "seed", "service_tier",
        "stop", "store", "stream", "stream_options", "temperature", "tool_choice", "tools",
        "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
    ]
)  # fmt: skip
RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}
USUAL = {"temperature": 1, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0}
"""The only values that a model which reasons takes."""
EFFORTS = {"none": 0, "minimal": 0, "low": 0.25, "medium": 1, "high": 3, "xhigh": 5}
"""How much of a usual thought an effort is worth; assumed."""
MAX_OUTPUT = 16384
"""Tokens that gpt-4o writes at most [R]."""


class OpenAI(Endpoint):
    """The gpt-4o kind."""

    limits_rate = True
    known: ClassVar[frozenset[str]] = KNOWN

    def check(self, asked: Asked) -> None:
        body = asked.body
        for name in body:
            if name not in self.known:
                raise refuse_openai(
                    "unknown_field", f"Unrecognized request argument supplied: {name}"
                )
        if body.get("model") not in self.kind.models:
            raise refuse_openai(
                "model",
                f"The model `{body.get('model')}` does not exist or you do not have access to it.",
                code="model_not_found",
                status=404,
            )
        if fault := find_fault(body.get("messages"), ROLES, FIELDS):
            raise word_fault(fault)
        self.check_sampling(asked)
        check_format(asked)
        check_tools(asked)

    def check_sampling(self, asked: Asked) -> None:
        """Numbers, stop strings, limits."""
        for name, (low, high) in RANGES.items():
            value = asked.get(name, low if low >= 0 else 0)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise refuse_type(name, "a decimal", value)
            if not low <= value <= high:
                word, bound = ("above maximum", f"<= {high}") if value > high else (
                    "below minimum", f">= {low}",
                )  # fmt: skip
                raise refuse_openai(
                    "range",
                    f"Invalid '{name}': decimal {word} value. Expected a value {bound}, but got"
                    f" {value} instead.",
                    param=name,
                    code=f"decimal_{word.replace(' ', '_')}_value",
                )
        check_integers(asked, "seed", "max_tokens", "max_completion_tokens", "n")
        stop = asked.stop
        if len(stop) > 4:
            raise refuse_openai(
                "stop",
                "Invalid 'stop': array too long. Expected an array with maximum length 4, but got"
                f" an array with length {len(stop)} instead.",
                param="stop",
                code="array_above_max_length",
            )
        if any(not isinstance(text, str) or not text for text in stop):
            raise refuse_type("stop", "non-empty strings", stop)
        if asked.get("max_tokens") and asked.get("max_completion_tokens"):
            raise refuse_openai(
                "both_limits",
                "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not"
                " supported.",
                param="max_tokens",
                code="invalid_parameter_combination",
            )

    def measure_room(self, asked: Asked, prompt: int) -> int | None:
        limit = self.read_limit(asked)
        context = self.kind.context
        if limit is not None and limit > MAX_OUTPUT:
            raise refuse_openai(
                "max_tokens",
                f"max_tokens is too large: {limit}. This model supports at most {MAX_OUTPUT}"
                f" completion tokens, whereas you provided {limit}.",
                param="max_tokens",
                code="invalid_value",
            )
        said = f"This model's maximum context length is {context} tokens. However, "
        if prompt > context:
            said += (
                f"your messages resulted in {prompt} tokens."
                " Please reduce the length of the messages."
            )
        elif limit is not None and prompt + limit > context:
            said += (
                f"you requested {prompt + limit} tokens ({prompt} in the messages, {limit} in the"
                " completion). Please reduce the length of the messages or completion."
            )
        else:
            return limit if limit is not None else min(MAX_OUTPUT, context - prompt)
        raise refuse_openai("too_long", said, param="messages", code="context_length_exceeded")

    def reply(self, asked: Asked, decoded: Decoded, prompt: int) -> dict[str, Any]:
        message = self.make_message(decoded) | {"refusal": None, "annotations": []}
        reply = self.make_reply(asked, message, decoded, prompt)
        reply["model"] = self.kind.answers_as or reply["model"]
        reply["service_tier"] = "default"
        reply["system_fingerprint"] = "fp_imitation"
        reply["usage"] |= {
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": decoded.thought_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }
        return reply

    def refuse_key(self) -> Refused:
        return refuse_openai(
            "key",
            "Incorrect API key provided. You can find your API key at your account page.",
            code="invalid_api_key",
            status=401,
        )


class OpenAIReasoning(OpenAI):
    """Models that reason: the thought is hidden, and counts."""

    known = KNOWN | {"reasoning_effort"}

    def check_sampling(self, asked: Asked) -> None:
        body = asked.body
        if asked.get("max_tokens") is not None:
            raise refuse_parameter("max_tokens", " Use 'max_completion_tokens' instead.")
        if body.get("stop"):
            raise refuse_parameter("stop")
        for name, usual in USUAL.items():
            if asked.get(name, usual) != usual:
                raise refuse_openai(
                    name,
                    f"Unsupported value: '{name}' does not support {body[name]} with this model."
                    f" Only the default ({usual}) value is supported.",
                    param=name,
                    code="unsupported_value",
                )
        effort = asked.get("reasoning_effort", "medium")
        if effort not in EFFORTS:
            supported = ", ".join(f"'{name}'" for name in EFFORTS)
            raise refuse_openai(
                "reasoning_effort",
                f"Unsupported value: 'reasoning_effort' does not support '{effort}' with this"
                f" model. Supported values are: {supported}.",
                param="reasoning_effort",
                code="unsupported_value",
            )
        check_integers(asked, "seed", "max_completion_tokens", "n")

    def decode(self, asked: Asked, speech: Speech, limit: int | None, prompt: str) -> Decoded:
        # Of the thought only its length comes back.
        share = EFFORTS[asked.get("reasoning_effort", "medium")]
        thought = (speech.thought or "") * 5
        hidden = Speech(
            speech.content, thought[: int(len(thought) * share / 5)], calls=speech.calls
        )
        return decode_apart(hidden, stop=(), limit=limit)
