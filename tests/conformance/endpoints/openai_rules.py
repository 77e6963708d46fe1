"""OpenAI's rules for messages, response formats, tools and numbers, in its own words."""

import re
from typing import Any

from conformance.dialogue import read_text
from conformance.endpoints.base import Asked
from conformance.messages import Fault
from conformance.refusals import Refused, refuse_openai
from conformance.strict_schema import NAME, find_schema_fault

FUNCTION = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def word_fault(fault: Fault) -> Refused:
    """How OpenAI words a fault of the messages."""
    place, detail = fault.place, fault.detail
    where = f"messages.[{place}]"
    if fault.kind == "role":
        known = "'system', 'assistant', 'user', 'function', 'tool', and 'developer'"
        said = f"Invalid value: '{detail}'. Supported values are: {known}."
        return refuse_openai("role", said, param=f"messages[{place}].role", code="invalid_value")
    if fault.kind == "field":
        said = f"Unknown parameter: 'messages[{place}].{detail}'."
        name = f"messages[{place}].{detail}"
        return refuse_openai("message_field", said, param=name, code="unknown_parameter")
    said, param = {
        "form": ("Invalid type for 'messages': expected an array of objects.", "messages"),
        "content": (
            f"Invalid value for 'content': expected a string, got {name_type(detail)}.",
            f"{where}.content",
        ),
        "tool_call_id": (
            "Missing parameter 'tool_call_id': messages with role 'tool' must have a"
            " 'tool_call_id'.",
            f"{where}.tool_call_id",
        ),
        "orphan": (
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding"
            " message with 'tool_calls'.",
            f"{where}.role",
        ),
        "unanswered": (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to"
            " each 'tool_call_id'. The following tool_call_ids did not have response messages:"
            f" {', '.join(map(str, detail or ()))}",
            f"{where}.role",
        ),
        "calls": (f"Invalid type for 'messages[{place}].tool_calls'.", f"{where}.tool_calls"),
    }[fault.kind]
    return refuse_openai(f"messages:{fault.kind}", said, param=param)


def check_format(asked: Asked) -> None:
    """Raise Refused for a response format that OpenAI does not take."""
    wanted = asked.get("response_format")
    if wanted is None:
        return
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        raise refuse_openai(
            "response_format",
            f"Invalid value: '{kind}'. Supported values are: 'json_object', 'json_schema', and"
            " 'text'.",
            param="response_format.type",
            code="invalid_value",
        )
    if kind == "json_object" and not mentions_json(asked):
        raise refuse_openai(
            "json_word",
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type"
            " 'json_object'.",
            param="messages",
        )
    if set(wanted) - {"type", kind}:
        extra = sorted(set(wanted) - {"type", kind})[0]
        raise refuse_openai(
            "response_format",
            f"Unknown parameter: 'response_format.{extra}'.",
            param=f"response_format.{extra}",
            code="unknown_parameter",
        )
    if kind != "json_schema":
        return
    inner = wanted.get("json_schema")
    missing = [
        name for name in ("name", "schema") if not isinstance(inner, dict) or name not in inner
    ]
    if missing:
        param = f"response_format.json_schema.{missing[0]}"
        raise refuse_openai(
            "response_format",
            f"Missing required parameter: '{param}'.",
            param=param,
            code="missing_required_parameter",
        )
    if not NAME.fullmatch(inner["name"]):
        raise refuse_openai(
            "schema_name",
            "Invalid 'response_format.json_schema.name': string does not match pattern. Expected a"
            " string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
            param="response_format.json_schema.name",
            code="invalid_value",
        )
    fault = find_schema_fault(inner["schema"]) if inner.get("strict") else None
    if fault:
        raise refuse_openai(
            "strict_schema",
            f"Invalid schema for response_format '{inner['name']}': {fault}",
            param="response_format",
        )


def check_tools(asked: Asked) -> None:
    """Raise Refused for tools that OpenAI does not take."""
    tools = asked.get("tools")
    if tools is None:
        for name in ("tool_choice", "parallel_tool_calls"):
            if asked.get(name) is not None:
                said = f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are"
                raise refuse_openai("tools", f"{said} specified.", param=name)
        return
    if not isinstance(tools, list) or not tools:
        said = "Invalid 'tools': empty array. Expected an array with minimum length 1."
        raise refuse_openai("tools", said, param="tools", code="empty_array")
    for place, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or tool.get("type") != "function":
            said, param = f"Missing required parameter: 'tools[{place}].function'.", "function"
        elif not FUNCTION.fullmatch(str(function.get("name") or "")):
            said, param = f"Invalid 'tools[{place}].function.name'.", "function.name"
        elif function.get("strict") and (fault := find_schema_fault(function.get("parameters"))):
            said = f"Invalid schema for function '{function['name']}': {fault}"
            param = "function.parameters"
        else:
            continue
        raise refuse_openai("tools", said, param=f"tools[{place}].{param}")


def check_integers(asked: Asked, *names: str) -> None:
    """Raise Refused for a field that is no integer, or a limit below 1."""
    for name in names:
        value = asked.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int):
            raise refuse_type(name, "an integer", value)
        if value < 1 and name != "seed":
            raise refuse_openai(
                "range",
                f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got"
                f" {value} instead.",
                param=name,
                code="integer_below_min_value",
            )


def mentions_json(asked: Asked) -> bool:
    """Whether a message has the word json in it."""
    return any("json" in read_text(message).lower() for message in asked.messages)


def refuse_parameter(name: str, hint: str = "") -> Refused:
    """A field that the model does not take."""
    said = f"Unsupported parameter: '{name}' is not supported with this model.{hint}"
    return refuse_openai(name, said, param=name, code="unsupported_parameter")


def refuse_type(name: str, wanted: str, value: Any) -> Refused:
    """A field of another type."""
    said = f"Invalid type for '{name}': expected {wanted}, but got {name_type(value)} instead."
    return refuse_openai("type", said, param=name, code="invalid_type")


def name_type(value: Any) -> str:
    """A value's type, as OpenAI speaks of it."""
    names = {str: "a string", list: "an array", dict: "an object", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")
