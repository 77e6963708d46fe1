"""What an endpoint's refusal means: no room, a field that it does not take, wait, or no.

The wordings are those of OpenAI, DeepSeek, DashScope, OpenRouter, vLLM 0.28, SGLang, TGI and
llama.cpp in 2026. Invariant: what one request is refused for is told apart from what every request
would be refused for; only the latter ends a stage.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from searchtrain.config.dialects import Dialect

NO_ROOM = re.compile(
    r"context.?(?:length|size|window)|range of (?:input length|max_tokens)|longer than the model"
    r"|max_new_tokens.{0,20}must be <=|`inputs` must have less than"
    r"|max_(?:completion_)?tokens.{0,40}(?:cannot be greater|is too large)",
    re.IGNORECASE,
)
CONTEXT = re.compile(
    r"(?:context (?:length|size|window)(?: is| of|:)?|must be <=) ?\(?(\d+)", re.IGNORECASE
)
PROMPT = re.compile(
    r"messages resulted in (\d+)|(\d+)(?: tokens)? (?:in the messages|from the input messages|of"
    r" text input)|Given: (\d+) `inputs`|(?:prompt|request) (?:contains|has) (\d+)",
    re.IGNORECASE,
)
PROMPT_ALONE = re.compile(
    r"messages resulted in|range of input length|input \(\d+ tokens\) is longer|`inputs` must have"
    r"|exceeds the available context size",
    re.IGNORECASE,
)
NAMED = re.compile(
    r"(?:unrecogni[sz]ed request arguments? supplied|unsupported (?:parameter|value)|unknown"
    r" (?:parameter|field|name)|unexpected (?:parameter|keyword)|extra inputs are not permitted)"
    r"[:\s]*['\"`]?([\w.]*)",
    re.IGNORECASE,
)
"""A field that the endpoint does not know or take."""
NO_MODEL = re.compile(
    r"supported API model names are|model.{0,40}(?:does not|not) exist|no such model",
    re.IGNORECASE,
)
ROLES = re.compile(
    r"tool_call_id|role ['\"]?tool|'tool' must be a response|has tool role", re.IGNORECASE
)
FORMATS = re.compile(
    r"response_format|json.?(?:schema|mode)|grammar error|structured", re.IGNORECASE
)
STREAM = re.compile(r"only support stream|non-streaming calls", re.IGNORECASE)
STOP = re.compile(r"(?:^|[.'\"`\s])stop(?:$|['\"`\s.])", re.IGNORECASE)
NEXT_FORM = {"json_schema": "json_object", "value": "none", "json_object": "none"}
LEAST_TOKENS = 16
"""An answer in fewer tokens is none."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of an endpoint, whatever its form."""

    status: int
    message: str
    code: str = ""
    param: str = ""

    @property
    def has_no_room(self) -> bool:
        """Whether the conversation, or it with its answer, is longer than the model's context."""
        return bool(self.code == "context_length_exceeded" or NO_ROOM.search(self.message))

    @property
    def names_field(self) -> str:
        """The field of the request that no request may have, in the endpoint's words."""
        if named := NAMED.search(self.message):
            return named[1].strip(".") or self.param or "a field"
        return "" if self.param.startswith("messages") else self.param

    @property
    def is_final(self) -> bool:
        """Whether every request would be refused, however long one waits."""
        final = ("insufficient_quota", "model_not_found")
        return self.status == 402 or self.code in final or bool(NO_MODEL.search(self.message))


def read_refusal(status: int, body: Any) -> Refusal:
    """Read an error: OpenAI's `error` object, SGLang's and llama.cpp's at the top, TGI's text.

    `body`: the reply's JSON, or its text. A router's envelope (OpenRouter) has the provider's own
    words in `metadata.raw`.
    """
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if not isinstance(error, Mapping):
        return Refusal(status, " ".join(str(error).split()))
    raw = error.get("metadata", {}).get("raw", "") if "metadata" in error else ""
    said = error.get("message") or error.get("detail") or error
    code = error.get("code")
    return Refusal(
        code if status == 200 and isinstance(code, int) else status,
        " ".join(f"{said} {raw}".split()),
        code if isinstance(code, str) else "",
        str(error.get("param") or ""),
    )


def find_room(refusal: Refusal, asked: int) -> int:
    """Tokens to ask for in place of `asked`; 0 when the conversation itself does not fit."""
    context, prompt = CONTEXT.search(refusal.message), PROMPT.search(refusal.message)
    room = asked // 2
    # vLLM stops counting a prompt once it is too long: «at least» says nothing of what is left.
    if context and prompt and "at least" not in refusal.message:
        room = int(context[1]) - int(next(filter(None, prompt.groups())))
    elif PROMPT_ALONE.search(refusal.message):
        room = 0
    return 0 if room < LEAST_TOKENS else min(room, asked - 1)


def adapt(dialect: Dialect, refusal: Refusal, body: Mapping[str, Any]) -> Dialect | None:
    """The dialect without what was refused, where a request means the same without it.

    None when it would mean something else: sampling is what the config says, or nothing is sent.
    """
    said = f"{refusal.param} {refusal.message}"
    changes: dict[str, Any] = {}
    if STREAM.search(said) and not dialect.streams:
        changes = {"streams": True}
    elif ROLES.search(said) and dialect.observations == "tool":
        changes = {"observations": "user"}
    elif FORMATS.search(said) and "response_format" in body:
        changes = {"answers": NEXT_FORM[dialect.answers]}
    elif STOP.search(said) and "stop" in body:
        changes = {"stop": False, "keeps_stop": {}}
    elif "max_completion_tokens" in said and dialect.length == "max_tokens" in body:
        changes = {"length": "max_completion_tokens"}
    elif any(name in said for name in dialect.keeps_stop) and "stop" in body:
        changes = {"keeps_stop": {}}
    elif refusal.names_field == "seed" and "seed" in body:
        changes = {"refuses": [*dialect.refuses, "seed"]}
    return dialect.model_copy(update=changes) if changes else None


def compare(dialect: Dialect, learnt: Dialect) -> dict[str, Any]:
    """What has been learnt, as `wire` would have it."""
    return {name: value for name, value in dict(learnt).items() if value != getattr(dialect, name)}
