"""One request to a chat model: what is sent, and under which key its answer is kept.

Invariant: equal keys mean equal requests, whatever the endpoint; earlier caches hold these keys,
so what changes a body here has every answer paid for again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from searchtrain.config.dialects import Dialect
from searchtrain.core.errors import InputError
from searchtrain.core.files import canonical_json, digest
from searchtrain.models.model import Message
from searchtrain.models.role import Role

SCHEMA_SAID = "Answer with one JSON object and nothing else. It must fit this JSON Schema: "
OPENED, CLOSED = "<tool_response>\n", "\n</tool_response>"
"""How an observation stands in a user message: as Qwen's chat templates write role `tool`, so that
those two give the same tokens there."""


def make_body(
    role: Role,
    messages: Sequence[Message],
    seed: int,
    stop: Sequence[str] = (),
    prefill: str = "",
    schema: Mapping[str, Any] | None = None,
    tools: Sequence[Mapping[str, Any]] = (),
    brief: bool = False,
    dialect: Dialect | None = None,
) -> dict[str, Any]:
    """The fields of a chat completion, those of an SDK's `extra_body` included.

    `dialect`: what the endpoint was found to take, in place of what the role says. Raises
    InputError for a prefill where no message can be continued.
    """
    dialect = dialect or role.speaks
    sent = [_adapt_observation(message, dialect) for message in messages]
    body: dict[str, Any] = {"model": role.model, "seed": seed, **dialect.always}
    body |= _choose_thinking(role, dialect, brief or bool(schema or prefill)) | dict(role.sampling)
    extra: dict[str, Any] = dict(body.pop("extra_body", {}))
    native = role.reasoning == "native"
    if schema and native and not dialect.quiet and "max_tokens" in body:
        body["max_tokens"] += role.thought_tokens
    if stop and dialect.stop:
        body["stop"] = list(stop)
        extra |= dialect.keeps_stop
    if tools:
        body["tools"] = [dict(tool) for tool in tools]
    if schema:
        sent = _ask_for_object(body, sent, schema, dialect.answers)
    if prefill:
        if not dialect.continues:
            raise InputError(
                f"models.{role.name}: this format needs a server that can continue a message; set"
                " dialect: vllm or sglang, or another format"
            )
        sent.append({"role": "assistant", "content": prefill})
        extra |= dialect.continues
    body["messages"] = sent
    if dialect.length != "max_tokens" and "max_tokens" in body:
        body[dialect.length] = body.pop("max_tokens")
    if extra:
        body["extra_body"] = extra
    return {name: value for name, value in body.items() if name not in dialect.refuses}


def make_key(role: Role, body: Mapping[str, Any]) -> str:
    """The request's key in the cache: all that is sent and the revision, never the URL.

    What the workflow serves answers as its arguments say (`--generation-config` changes sampling),
    so they count, too; of an endpoint they are not known.
    """
    served = {"server": role.server} if role.server else {}
    return digest({"revision": role.revision, **served, **body})


def _choose_thinking(role: Role, dialect: Dialect, brief: bool) -> dict[str, Any]:
    """The fields that have a model think or not; `brief`: an answer that needs no thought."""
    if role.reasoning == "native":
        return dialect.quiet if brief else dialect.thinks
    return dialect.quiet if dialect.quiet_by_default else {}


def _adapt_observation(message: Message, dialect: Dialect) -> dict[str, Any]:
    """A message as the endpoint takes it; one that answers a native tool call stays."""
    if message["role"] != "tool" or "tool_call_id" in message or dialect.observations == "tool":
        return dict(message)
    return {"role": "user", "content": f"{OPENED}{message['content']}{CLOSED}"}


def _ask_for_object(
    body: dict[str, Any], messages: list[dict[str, Any]], schema: Mapping[str, Any], form: str
) -> list[dict[str, Any]]:
    """Put the response format into the body; returns the messages that go with it."""
    if form == "json_schema":
        answer = {"name": "answer", "schema": schema, "strict": True}
        body["response_format"] = {"type": form, "json_schema": answer}
        return messages
    if form == "value":
        body["response_format"] = {"type": "json_schema", "value": schema}
        return messages
    if form == "json_object":
        body["response_format"] = {"type": form}
    said = SCHEMA_SAID + canonical_json(schema)
    if messages and messages[0]["role"] == "system":
        first = {**messages[0], "content": f"{messages[0]['content']}\n\n{said}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": said}, *messages]
