"""OpenAI's rules for schemas with `strict: true`, and what it says of the first that is broken."""

import re
from collections.abc import Mapping
from typing import Any

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
FORBIDDEN = (
    "default", "allOf", "oneOf", "not", "if", "then", "else", "patternProperties", "uniqueItems",
)  # fmt: skip


def find_schema_fault(schema: Any) -> str | None:
    """What is wrong with a strict schema, as OpenAI words it behind «Invalid schema for …: »."""
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if kind != "object":
        said = f'"{kind}"' if kind else '"None"'
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: {said}'."
    return _find_fault(schema, ())


def _find_fault(schema: Any, context: tuple[str, ...]) -> str | None:
    if not isinstance(schema, Mapping):
        return f"In context={context!r}, {schema!r} is not a schema."
    for word in FORBIDDEN:
        if word in schema:
            return f"In context={context!r}, '{word}' is not permitted."
    if not {"type", "anyOf", "enum", "const", "$ref"} & set(schema):
        return f"In context={context!r}, schema must have a 'type' key."
    if "object" in _list_types(schema):
        properties = schema.get("properties") or {}
        if schema.get("additionalProperties") is not False:
            return (
                f"In context={context!r}, 'additionalProperties' is required to be supplied and to"
                " be false."
            )
        missing = [name for name in properties if name not in (schema.get("required") or [])]
        if missing:
            return (
                f"In context={context!r}, 'required' is required to be supplied and to be an array"
                f" including every key in properties. Missing '{missing[0]}'."
            )
        for name, part in properties.items():
            if fault := _find_fault(part, (*context, "properties", name)):
                return fault
    if "array" in _list_types(schema):
        if "items" not in schema:
            return f"In context={context!r}, array schema missing items."
        if fault := _find_fault(schema["items"], (*context, "items")):
            return fault
    for number, part in enumerate(schema.get("anyOf") or ()):
        if fault := _find_fault(part, (*context, "anyOf", str(number))):
            return fault
    return None


def _list_types(schema: Mapping[str, Any]) -> list[Any]:
    kind = schema.get("type")
    return kind if isinstance(kind, list) else [kind]
