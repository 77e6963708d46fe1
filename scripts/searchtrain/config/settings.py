"""A rule's slice of the config as a dataclass: an unknown key or a wrong type is an error.

The workflow checks the whole config against `config/schema.yaml`; this guards the scripts when
they are run by hand, and gives the defaults their names.
"""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from searchtrain.core.errors import InputError

T = TypeVar("T")


def parse_settings(kind: type[T], values: Any, section: str) -> T:
    """Build the dataclass `kind` from a config slice; `section` is what the config calls it.

    Raises InputError naming the setting, its value and what it may be.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{section}: expected a JSON object of settings, got {values!r}")
    hints = get_type_hints(kind)
    for name, value in values.items():
        if name not in hints:
            raise InputError(
                f"{section}.{name}: unknown setting; known are {', '.join(sorted(hints))}"
            )
        if not _fits(value, hints[name]):
            raise InputError(
                f"{section}.{name}: {value!r} is not allowed; it must be {_describe(hints[name])}"
            )
    missing = [
        field.name
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
        if field.name not in values
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(f"{section}.{missing[0]}: missing; give it in the configuration")
    return kind(**values)


def check_range(value: float | None, low: float, setting: str) -> None:
    """Raise InputError when `value` is given and below `low`."""
    if value is not None and value < low:
        raise InputError(f"{setting}: {value!r} is out of range; it must be at least {low}")


def _fits(value: Any, hint: Any) -> bool:
    if hint is Any:
        return True
    if isinstance(hint, types.UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, int | float)
    return isinstance(value, get_origin(hint) or hint)


def _describe(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        return " or ".join(_describe(part) for part in get_args(hint))
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    if hint is type(None):
        return "null"
    return names.get(hint, "an object")
