"""What a section of the config is: a frozen model that knows which of its fields decide a result.

Invariant: a field is either tracked (a change makes the result stale of whoever reads it) or
runtime (how fast, how dear, where), and this is said where the field is declared and nowhere else.
"""

from collections.abc import Callable, Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from searchtrain.config.faults import explain_fault
from searchtrain.core.errors import InputError

OWN = ""
"""The reader of a field that its section's own stage reads."""


def setting(
    default: Any,
    description: str = "",
    *,
    reader: str | tuple[str, ...] = OWN,
    notes: Mapping[str, str] | None = None,
    **limits: Any,
) -> Any:
    """A tracked field; `default` may be `...`.

    `reader`: who reads it, if that is not (or not only) the section's own stage. `role`: it belongs
    to the identity of the model that is asked. `serve`: it belongs to that of the server. Else the
    name of a rule. `notes`: comments on the keys of a free mapping. `limits`: pydantic's, for
    instance `ge`.
    """
    readers = [reader] if isinstance(reader, str) else list(reader)
    extra: dict[str, Any] = {"readers": readers, "notes": dict(notes or {})}
    return Field(default, description=description or None, json_schema_extra=extra, **limits)


def wiring(default: Any, description: str = "") -> Any:
    """A tracked field that only decides which rules there are and what their inputs are."""
    return setting(default, description, reader="workflow")


def runtime(default: Any, description: str = "", **limits: Any) -> Any:
    """A field that changes only how fast, how dear or where: it makes nothing stale."""
    return setting(default, description, reader=(), **limits)


class Section(BaseModel):
    """A section of the config."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, validate_default=True, allow_inf_nan=False
    )

    @classmethod
    def parse(cls, values: Any, name: str = "") -> Self:
        """The section with `values` laid over its defaults, as Snakemake lays config files.

        `name`: what the config calls it, for messages. Raises InputError naming the key, its value
        and what is allowed.
        """
        if not isinstance(values, Mapping):
            raise InputError(
                f"configuration: {name}: {values!r} is not allowed; it must be a section"
            )
        merged = merge_values(cls().model_dump(), values)
        try:
            return cls.model_validate(merged)
        except ValidationError as error:
            raise InputError(explain_fault(error, cls, merged, name)) from None

    def tracked(self, reader: str = OWN) -> dict[str, Any]:
        """The plain values of the tracked fields that `reader` reads, with nested sections."""
        values = {
            name: _flatten(getattr(self, name), Section.tracked)
            for name, field in type(self).model_fields.items()
            if reader in read_marks(field)["readers"]
        }
        return values | (self.model_extra or {} if reader == OWN else {})

    def decide(self) -> dict[str, Any]:
        """The plain values of all fields that decide a result, whoever reads them."""
        fields = type(self).model_fields.items()
        values = {
            name: _flatten(getattr(self, name), Section.decide) for name, field in fields
            if read_marks(field)["readers"]
        }  # fmt: skip
        return values | dict(self.model_extra or {})

    def changes(self) -> dict[str, Any]:
        """What differs from the class's defaults; nested, plain values.

        Laid over them again it gives this section.
        """
        return _compare(dict(self), dict(type(self)()))


def read_marks(field: FieldInfo) -> dict[str, Any]:
    """The `readers` of a field, none of a runtime field, and the `notes` on its keys."""
    marks = field.json_schema_extra
    assert isinstance(marks, dict), field
    return marks


def merge_values(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` laid over `base`: mappings key by key, all else replaces."""
    merged = dict(base)
    for key, value in values.items():
        if isinstance(value, Mapping):
            below = merged.get(key)
            value = merge_values(below if isinstance(below, Mapping) else {}, value)
        merged[key] = value
    return merged


def name_values(value: Any, name: str = "") -> dict[str, Any]:
    """The plain values of nested ones by their dotted names."""
    if not isinstance(value, Mapping):
        return {name: value}
    named: dict[str, Any] = {}
    for key, part in value.items():
        named |= name_values(part, f"{name}.{key}".lstrip("."))
    return named


def _flatten(value: Any, read: Callable[["Section"], dict[str, Any]]) -> Any:
    """A plain value; `read`: what is taken of a section."""
    if isinstance(value, Section):
        return read(value)
    if isinstance(value, dict):
        return {key: _flatten(part, read) for key, part in value.items()}
    return value


def _compare(values: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in values.items():
        # Sections and mappings alike; their fields, and not what they are dumped as.
        value = dict(value) if isinstance(value, Section) else value
        below = dict(base[key]) if isinstance(base.get(key), Section) else base.get(key)
        if isinstance(value, dict) and (isinstance(below, dict) or not below):
            part = _compare(value, below or {})
            if part or key not in base or not isinstance(below, dict):
                found[key] = part
        elif key not in base or type(value) is not type(below) or value != below:
            found[key] = value
    return found
