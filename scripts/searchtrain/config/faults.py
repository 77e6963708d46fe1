"""What is wrong with a config, in one short message: the key, its value and what is allowed."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

NAMES = {"boolean": "true or false", "string": "text", "null": "null", "object": "a section"}
UNSEEN = object()


def explain_fault(
    error: ValidationError, model: type[BaseModel], values: Mapping[str, Any], section: str = ""
) -> str:
    """The message for the first fault that `model` found in `values`; unknown keys come first."""
    faults = error.errors(include_url=False)
    schema = _make_schema(model)
    unknown = [fault["loc"] for fault in faults if fault["type"] == "extra_forbidden"]
    if unknown:
        parent = unknown[0][:-1]
        keys = [_join(section, *place) for place in unknown if place[:-1] == parent]
        known = ", ".join(sorted(_walk(schema, parent, values)[1].get("properties", {})))
        return f"configuration: unknown key {', '.join(keys)}; known here: {known}"
    fault = faults[0]
    if fault["loc"] and fault["loc"][-1] == "[key]":
        parent, key = fault["loc"][:-2], fault["loc"][-2]
        node = _walk(schema, parent, values)[1]
        (pattern,) = node.get("patternProperties") or [node["propertyNames"]["pattern"]]
        where = _join(section, *parent)
        return f"configuration: {where}: key {key!r} is not allowed; use {pattern}"
    place, node, value, description = _walk(schema, fault["loc"], values)
    where, allowed = _join(section, *place), f"it must be {describe_allowed(node, schema)}"
    if fault["type"] == "missing":
        return f"configuration: {where}: missing; {allowed}"
    if fault["type"] == "value_error":
        allowed = str(fault["ctx"]["error"])
        if isinstance(value, Mapping):
            return f"configuration: {where}: {allowed}"
    text = repr(value)
    text = text if len(text) <= 120 else f"{text[:117]}..."
    about = f" ({description})" if description else ""
    return f"configuration: {where}: {text} is not allowed; {allowed}{about}"


@cache
def _make_schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def describe_allowed(node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What a JSON Schema allows, in words; `schema` is the whole that `node` refers to."""
    node = _resolve(node, schema)
    if "anyOf" in node:
        return _list([describe_allowed(option, schema) for option in node["anyOf"]])
    if "enum" in node or "const" in node:
        return _list([_spell(value) for value in node.get("enum", [node.get("const")])])
    kind = node.get("type", "")
    if kind in ("integer", "number"):
        return f"a {'whole ' * (kind == 'integer')}number{_describe_range(node)}"
    if kind == "array":
        return f"a list of {describe_allowed(node.get('items', {}), schema)}"
    if "pattern" in node:
        return f"text as {node['pattern']}"
    return NAMES.get(kind, "anything") + " that is not empty" * bool(node.get("minLength"))


def _describe_range(node: Mapping[str, Any]) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    signs = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most"}
    signs["multipleOf"] = "a multiple of"
    bounds = [f"{sign} {node[name]:g}" for name, sign in signs.items() if name in node]
    return f" of {' and '.join(bounds)}" if bounds else ""


def _walk(
    schema: Mapping[str, Any], place: tuple[int | str, ...], values: Any
) -> tuple[tuple[int | str, ...], Mapping[str, Any], Any, str]:
    """As far as `place` names keys of the config: the path, its schema, value and description."""
    node, value, description = _resolve(schema, schema), values, ""
    for depth, part in enumerate(place):
        below = _find(node, part, schema)
        if below is None:
            return place[:depth], node, value, description
        description = below.get("description", description)
        node = _resolve(below, schema)
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            value = UNSEEN
    return place, node, value, description


def _find(
    node: Mapping[str, Any], part: int | str, schema: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """The schema of a part of what `node` describes; None if it has no such part."""
    for option in node.get("anyOf", [node]):
        option = _resolve(option, schema)
        if isinstance(part, int):
            if "items" in option:
                return dict(option["items"])
        elif part in option.get("properties", {}):
            return dict(option["properties"][part])
        elif "additionalProperties" in option or "patternProperties" in option:
            named = option.get("patternProperties", {}).values()
            more = next(iter(named), option.get("additionalProperties"))
            return dict(more) if isinstance(more, dict) else {}
    return None


def _resolve(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return node


def _list(options: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(options[:-1]), options[-1])))


def _spell(value: Any) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _join(section: str, *place: int | str) -> str:
    return ".".join(filter(None, (section, *map(str, place)))) or "top level"
