"""The `--config` of a script: what differs from the defaults, as JSON or in YAML files."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from searchtrain.config.config import Config, read_config
from searchtrain.config.section import merge_values
from searchtrain.core.errors import InputError
from searchtrain.core.files import read_text


class _ReadConfig(argparse.Action):
    """Lay one text or file on the other and validate what comes out."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        merged: dict[str, Any] = {}
        for text in values or ():
            merged = merge_values(merged, _parse(str(text)))
        setattr(namespace, self.dest, read_config(merged))


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--config`; the parsed argument is a `Config`, without it the defaults.

    Parsing raises InputError for a setting that is not allowed.
    """
    parser.add_argument(
        "--config", nargs="+", action=_ReadConfig, default=Config(),
        help="what differs from the defaults: a JSON object, or YAML files, each on the last",
    )  # fmt: skip


def change_setting(config: Config, key: str, value: Any) -> Config:
    """The config with another value of one setting (`sample.total`)."""
    changes: Any = value
    for part in reversed(key.split(".")):
        changes = {part: changes}
    return read_config(merge_values(config.changes(), changes))


def _parse(text: str) -> Mapping[str, Any]:
    if text.lstrip().startswith("{"):
        place, source = "--config", text
    else:
        place, source = text, read_text(Path(text), "YAML")
    try:
        values = json.loads(source) if place == "--config" else yaml.safe_load(source)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        fault = " ".join(str(error).split())
        raise InputError(f"{place}: {fault}; give a JSON object or a YAML file") from None
    if not isinstance(values, Mapping):
        raise InputError(f"{place}: {values!r:.60} is no object of settings")
    return values
