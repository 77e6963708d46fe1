"""What a list of messages may hold: the first fault of a list, which each endpoint words itself."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FIELDS: Mapping[str, frozenset[str]] = {
    "system": frozenset({"role", "content", "name"}),
    "developer": frozenset({"role", "content", "name"}),
    "user": frozenset({"role", "content", "name"}),
    "assistant": frozenset(
        {
            "role",
            "content",
            "name",
            "tool_calls",
            "refusal",
            "audio",
            "function_call",
            "annotations",
        }
    ),
    "tool": frozenset({"role", "content", "tool_call_id"}),
    "function": frozenset({"role", "content", "name"}),
}
"""OpenAI's fields of a message, by its role."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one message."""

    kind: str
    """`form`, `role`, `content`, `field`, `tool_call_id`, `orphan`, `calls` or `unanswered`."""
    place: int
    detail: Any = None
    """The role, the content, the field's name or the ids, by kind."""


def find_fault(
    messages: Any, roles: Collection[str], fields: Mapping[str, Collection[str]] | None = None
) -> Fault | None:
    """The first fault; `fields`: those that a message of a role may have, None for any."""
    if not isinstance(messages, list) or not messages:
        return Fault("form", 0, messages)
    for place, message in enumerate(messages):
        fault = _find_shape_fault(place, message, roles, fields)
        if fault:
            return fault
    return _find_order_fault(messages)


def find_shape_fault(messages: Any, roles: Collection[str] | None) -> Fault | None:
    """As `find_fault`, for local servers: no rules on native calls, an assistant may say nothing.

    None of roles: any will do.
    """
    if not isinstance(messages, list):
        return Fault("form", 0, messages)
    for place, message in enumerate(messages):
        fault = _find_shape_fault(place, message, roles, None)
        if fault is None or fault.kind == "tool_call_id":
            continue
        if fault.kind == "content" and fault.detail is None and message["role"] == "assistant":
            continue
        return fault
    return None


def _find_shape_fault(
    place: int,
    message: Any,
    roles: Collection[str] | None,
    fields: Mapping[str, Collection[str]] | None,
) -> Fault | None:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        return Fault("form", place, message)
    role = message["role"]
    if roles is not None and role not in roles:
        return Fault("role", place, role)
    calls = message.get("tool_calls")
    if calls is not None and not _is_calls(calls):
        return Fault("calls", place, calls)
    content = message.get("content")
    if not _is_content(content) and not (role == "assistant" and content is None and calls):
        return Fault("content", place, content)
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        return Fault("tool_call_id", place)
    unknown = set(message) - set(fields[role]) if fields and role in fields else set()
    return Fault("field", place, sorted(unknown)[0]) if unknown else None


def _is_content(content: Any) -> bool:
    if isinstance(content, str):
        return True
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in content)
        and all(isinstance(part.get("text"), str) for part in content if part["type"] == "text")
    )


def _is_calls(calls: Any) -> bool:
    """Whether these are native calls: an id, a type, and a name with arguments as a JSON text."""
    return (
        isinstance(calls, list)
        and bool(calls)
        and all(
            isinstance(call, dict)
            and isinstance(call.get("id"), str)
            and call.get("type") == "function"
            and isinstance(call.get("function"), dict)
            and isinstance(call["function"].get("name"), str)
            and isinstance(call["function"].get("arguments"), str)
            for call in calls
        )
    )


def _find_order_fault(messages: Sequence[Mapping[str, Any]]) -> Fault | None:
    """A result without its call, or calls without their results right behind them."""
    waiting: set[str] = set()
    caller = 0
    for place, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                return Fault("orphan", place)
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            return Fault("unanswered", caller, sorted(waiting))
        waiting = {call["id"] for call in message.get("tool_calls") or ()}
        caller = place
    return Fault("unanswered", caller, sorted(waiting)) if waiting else None
