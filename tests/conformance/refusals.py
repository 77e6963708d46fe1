"""Refusals: the status, headers and body that an endpoint answers instead of a completion."""

import json
from collections.abc import Mapping
from typing import Any


class Refused(Exception):
    """The request is refused. `reason` is a short stable word that the ledger counts by."""

    def __init__(
        self,
        reason: str,
        status: int,
        body: Mapping[str, Any] | str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`body`: a text is sent as plain text, anything else as JSON."""
        super().__init__(f"{reason}: {status} {body}")
        self.reason = reason
        self.status = status
        self.body = body
        self.headers = dict(headers or {})

    def render(self) -> tuple[bytes, str]:
        """The body and its media type."""
        if isinstance(self.body, str):
            return self.body.encode(), "text/plain; charset=utf-8"
        return json.dumps(self.body, ensure_ascii=False).encode(), "application/json"


def refuse_openai(
    reason: str,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    status: int = 400,
    type_: str = "invalid_request_error",
    headers: Mapping[str, str] | None = None,
) -> Refused:
    """OpenAI's form, which DeepSeek shares: one `error` object."""
    error = {"message": message, "type": type_, "param": param, "code": code}
    return Refused(reason, status, {"error": error}, headers)


def refuse_vllm(
    reason: str,
    message: str,
    *,
    param: str | None = None,
    status: int = 400,
    type_: str = "BadRequestError",
) -> Refused:
    """vLLM's form: as OpenAI's, with the status as `code`."""
    error = {"message": message, "type": type_, "param": param, "code": status}
    return Refused(reason, status, {"error": error})


def refuse_vllm_field(reason: str, name: str, message: str, value: Any) -> Refused:
    """What vLLM says when a field has the wrong form (pydantic's list of errors, as text)."""
    error = {"type": reason, "loc": ("body", name), "msg": message, "input": value}
    text = f"1 validation error:\n  {error}"
    return refuse_vllm(reason, text, param=f"body.{name}", type_="Bad Request")


def refuse_sglang(reason: str, message: str, param: str | None = None) -> Refused:
    """SGLang's form: the message at the top, no `error` object."""
    body = {"object": "error", "message": message, "type": "BadRequest", "param": param}
    return Refused(reason, 400, {**body, "code": 400})


def refuse_tgi(reason: str, message: str) -> Refused:
    """TGI's form of a validation error."""
    body = {"error": f"Input validation error: {message}", "error_type": "validation"}
    return Refused(reason, 422, body)


def refuse_llamacpp(
    reason: str, message: str, type_: str = "invalid_request_error", **more: Any
) -> Refused:
    """llama.cpp's form: `code` is the status."""
    return Refused(reason, 400, {"error": {"code": 400, "message": message, "type": type_, **more}})


def refuse_dashscope(
    reason: str, message: str, *, algorithm: bool = False, status: int = 400
) -> Refused:
    """DashScope's compatible mode; `algorithm`: refused behind its gateway, with a prefix."""
    prefix = "<400> InternalError.Algo.InvalidParameter: " if algorithm else ""
    error = {
        "message": prefix + message,
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_parameter_error",
    }
    return Refused(reason, status, {"error": error, "request_id": "c0ffee00-0000-9000-8000"})


def wrap_openrouter(refused: Refused, provider: str = "Imitation") -> Refused:
    """A provider's refusal in OpenRouter's envelope: what was said stands in `metadata.raw`."""
    raw, _ = refused.render()
    error = {
        "message": "Provider returned error",
        "code": refused.status,
        "metadata": {"raw": raw.decode(), "provider_name": provider},
    }
    return Refused(refused.reason, refused.status, {"error": error, "user_id": "user_1"})


def refuse_openrouter(reason: str, message: str, status: int = 400) -> Refused:
    """OpenRouter's own refusal, before any provider."""
    return Refused(reason, status, {"error": {"message": message, "code": status}})
