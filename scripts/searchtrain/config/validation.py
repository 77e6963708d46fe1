"""Check the configuration: one short message per fault, never the whole schema."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from searchtrain.core.errors import InputError


def validate_config(config: Mapping[str, Any], schema_file: Path) -> None:
    """Check `config` against the JSON Schema (as YAML) in `schema_file`.

    Raises InputError naming the key's path, its value and what the schema allows there.
    """
    schema = yaml.safe_load(schema_file.read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    error = jsonschema.exceptions.best_match(validator.iter_errors(config))
    if error is None:
        return
    place = ".".join(str(part) for part in error.absolute_path)
    remedy = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    if error.validator == "additionalProperties":
        known = ", ".join(sorted(error.schema.get("properties", {})))
        unknown = sorted(set(error.instance) - set(error.schema.get("properties", {})))
        keys = ", ".join(f"{place}.{key}".lstrip(".") for key in unknown)
        raise InputError(f"configuration: unknown key {keys}; known here: {known}")
    raise InputError(
        f"configuration: {place or 'top level'}: {error.message}"
        + (f" ({remedy})" if remedy else "")
    )
