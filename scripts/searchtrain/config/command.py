"""The `--config` of a script: what differs from the defaults, as JSON or in YAML files."""

import argparse
import json
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import yaml

from searchtrain.config.config import Config, read_config
from searchtrain.config.section import merge_values
from searchtrain.core import cli
from searchtrain.core.errors import InputError
from searchtrain.core.files import read_text


class Parser(cli.Parser):
    """A script's parser with `--config`, which becomes a `Config`, without it the defaults."""

    def __init__(self, description: str | None) -> None:
        super().__init__(description)
        self.add_argument(
            "--config", nargs="+", default=(),
            help="what differs from the defaults: a JSON object, or YAML files, each on the last",
        )  # fmt: skip

    def parse(self) -> argparse.Namespace:
        """As every script does; raises InputError for a setting that is not allowed."""
        args = super().parse()
        args.config = read_config(reduce(merge_values, map(_parse, args.config), {}))
        return args


def change_setting(config: Config, key: str, value: Any) -> Config:
    """The config with another value of one setting (`sample.total`)."""
    changes = reduce(lambda below, part: {part: below}, reversed(key.split(".")), value)
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
