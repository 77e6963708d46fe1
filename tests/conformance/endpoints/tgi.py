"""Text Generation Inference 3: what does not parse is 422 in plain text, the rest in JSON."""

import json
from typing import Any

from conformance.brain import Speech
from conformance.decoding import Decoded, decode_text
from conformance.endpoints.base import Asked, Endpoint
from conformance.messages import find_shape_fault
from conformance.refusals import Refused, refuse_tgi

DEFAULT_OUTPUT = 1024
MAX_STOPS = 4
FORMATS = ("json", "json_object", "json_schema", "regex")


class Tgi(Endpoint):
    """`top_k` is ignored; a response format has its schema in `value`."""

    health = ("/health", "/info")

    def check(self, asked: Asked) -> None:
        body = asked.body
        fault = find_shape_fault(body.get("messages"), None)
        if fault:
            raise _refuse_form(body, f"messages[{fault.place}]: {fault.kind}")
        if not asked.messages:
            raise refuse_tgi("messages:empty", "`inputs` cannot be empty")
        if asked.get("seed", 0) < 0:
            number = asked.body["seed"]
            raise _refuse_form(body, f"seed: invalid value: integer `{number}`, expected u64")
        self._check_format(asked)
        # Temperature 0 is greedy; a top_p of 1 is not taken.
        if asked.get("temperature", 0) < 0:
            raise refuse_tgi("range", "`temperature` must be strictly positive")
        if not 0 < asked.get("top_p", 0.5) < 1:
            raise refuse_tgi("range", "`top_p` must be > 0.0 and < 1.0")
        if asked.get("repetition_penalty", 1) <= 0:
            raise refuse_tgi("range", "`repetition_penalty` must be strictly positive")
        limit = self.read_limit(asked)
        if limit is not None and limit < 1:
            raise refuse_tgi("range", "`max_new_tokens` must be strictly positive")
        if len(asked.stop) > MAX_STOPS:
            said = f"`stop` supports up to {MAX_STOPS} stop sequences. Given: {len(asked.stop)}"
            raise refuse_tgi("stop", said)

    def _check_format(self, asked: Asked) -> None:
        wanted = asked.get("response_format")
        if wanted is None:
            return
        kind = wanted.get("type") if isinstance(wanted, dict) else None
        if kind not in FORMATS:
            known = ", ".join(f"`{each}`" for each in ("json", "regex", "json_schema"))
            said = f"response_format: unknown variant `{kind}`, expected one of {known}"
            raise _refuse_form(asked.body, said, "response_format")
        if "value" not in wanted:
            said = "response_format: missing field `value`"
            raise _refuse_form(asked.body, said, "response_format")
        value = wanted["value"]
        if kind == "json_schema":
            if not isinstance(value, dict) or "schema" not in value:
                said = "response_format: missing field `schema`"
                raise _refuse_form(asked.body, said, "response_format")
            value = value["schema"]
        if kind != "regex" and (not isinstance(value, dict) or "properties" not in value):
            said = "Invalid grammar: Grammar must have a 'properties' field"
            raise refuse_tgi("grammar", said)

    def measure_room(self, asked: Asked, prompt: int) -> int | None:
        total = self.kind.context
        limit = self.read_limit(asked)
        wanted = limit if limit is not None else min(DEFAULT_OUTPUT, max(total - prompt, 0))
        if prompt + wanted > total:
            said = (
                f"`inputs` tokens + `max_new_tokens` must be <= {total}. Given: {prompt} `inputs`"
                f" tokens and {wanted} `max_new_tokens`"
            )
            raise refuse_tgi("too_long", said)
        if prompt >= total:
            said = f"`inputs` must have less than {total - 1} tokens. Given: {prompt}"
            raise refuse_tgi("too_long", said)
        return limit if limit is not None else total - prompt

    def decode(self, asked: Asked, speech: Speech, limit: int | None, prompt: str) -> Decoded:
        return decode_text(speech, opened=False, stop=asked.stop, limit=limit, keep=False)

    def reply(self, asked: Asked, decoded: Decoded, prompt: int) -> dict[str, Any]:
        finish = "stop_sequence" if decoded.stopped_by else decoded.finish
        message = self.make_message(decoded)
        reply = self.make_reply(asked, message, decoded, prompt, finish_reason=finish)
        reply["id"] = ""
        reply["system_fingerprint"] = "3.3.4-native"
        return reply

    def refuse_key(self) -> Refused:
        return Refused("key", 401, "")


def _refuse_form(body: Any, what: str, reason: str = "form") -> Refused:
    """A body that its parser does not take: plain text with a column."""
    said = f"Failed to deserialize the JSON body into the target type: {what}"
    return Refused(reason, 422, f"{said} at line 1 column {len(json.dumps(body))}")
