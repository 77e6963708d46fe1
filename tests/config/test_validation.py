"""The configuration: closed, and config.yaml, its schema and the code agree."""

from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from searchtrain.config.settings import parse_settings
from searchtrain.config.validation import validate_config
from searchtrain.core.errors import InputError
from searchtrain.curation.choice import CurateSettings

CONFIG = Path(__file__).parents[2] / "config"


def load(name):
    return yaml.safe_load((CONFIG / name).read_text())


def test_the_default_configuration_is_valid():
    validate_config(load("config.yaml"), CONFIG / "schema.yaml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda c: c["sample"].update(totl=1),
            "unknown key sample.totl; known here: min_domain, total",
        ),
        (lambda c: c.update(smaple={}), "unknown key smaple"),
        (lambda c: c["tag"].update(max_failed_share=2), "tag.max_failed_share: 2 is greater than"),
        (lambda c: c["trajectories"].update(rollouts=0), "trajectories.rollouts: 0 is less than"),
        (lambda c: c["trajectories"]["limits"].update(topk="3"), "limits.topk: '3' is not of type"),
        (
            lambda c: c["models"]["teacher"].update(endpoint="myhost"),
            "models.teacher.endpoint: 'myhost'",
        ),
        (lambda c: c["models"]["teacher"].update(port=99999), "models.teacher.port: 99999"),
        (
            lambda c: c["curate"]["rules"].update(exact_mtch=True),
            "unknown key curate.rules.exact_mtch",
        ),
        (lambda c: c.pop("train"), "'train' is a required property"),
    ],
)
def test_faults_name_the_key_and_the_remedy(change, said):
    config = load("config.yaml")
    change(config)
    with pytest.raises(InputError) as caught:
        validate_config(config, CONFIG / "schema.yaml")
    assert said in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "layers", [["presets/simpledeepsearcher.yaml"],
               ["presets/simpledeepsearcher.yaml", "scale/simpledeepsearcher.yaml"],
               ["presets/grpo.yaml"],
               ["presets/search_sft.yaml"],
               ["presets/infoseek.yaml"],
               ["presets/infoseek.yaml", "presets/infoseek_without_trees.yaml"],
               ["presets/infoseek.yaml", "scale/infoseek.yaml"]],
)  # fmt: skip
def test_presets_and_scales_are_valid_on_top_of_the_default(layers):
    config = load("config.yaml")
    for layer in layers:
        update_config(config, load(layer))
    validate_config(config, CONFIG / "schema.yaml")
    parse_settings(CurateSettings, config["curate"], "curate")


def test_schema_defaults_are_the_values_of_config_yaml():
    def compare(schema, value, place):
        if "$ref" in schema:
            assert "default" not in schema or schema["default"] == value, place
            return
        if "default" in schema:
            assert schema["default"] == value, place
        for key, part in schema.get("properties", {}).items():
            if isinstance(value, dict) and key in value:
                compare(part, value[key], f"{place}.{key}")

    schema = load("schema.yaml")
    compare(schema, load("config.yaml"), "config")
