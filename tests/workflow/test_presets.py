"""Every preset at every scale on every profile can be planned."""

import itertools
import json
import re
import subprocess
import sys

import pytest
import yaml

from helpers.checkout import ROOT

PRESETS = {
    "default": [],
    **{file.stem: [f"config/presets/{file.name}"] for file in (ROOT / "config/presets").iterdir()},
}
PRESETS["infoseek_without_trees"].insert(0, "config/presets/infoseek.yaml")
SCALES = {
    "laptop": [],
    **{file.stem: [f"config/scale/{file.name}"] for file in (ROOT / "config/scale").iterdir()},
}
SUBMISSIONS = [
    f"config/submissions/{file.name}" for file in (ROOT / "config/submissions").iterdir()
]
PROFILES = sorted(folder.name for folder in (ROOT / "profiles").iterdir())
TARGETS = {"grpo": ["results/grpo/test.json"], "infoseek": ["results/grpo/test.json"]}


def plan(layers, profile, targets=()):
    """The arguments of a dry run."""
    profiles = ["--workflow-profile", f"profiles/{profile}"]
    return [*targets, "--dry-run", "--quiet", "rules", "--cores", "8", *profiles] + (
        ["--configfile", *layers] if layers else []
    )


@pytest.fixture(scope="module")
def mine(checkout):
    """A user's own file for each scale: questions, passages and a base model that exist."""
    folder = checkout.path / "mine"
    folder.mkdir()
    for name in ("train", "dev", "test"):
        row = {"id": name, "question": f"Who is the {name}?", "golden_answers": ["Nobody"]}
        (folder / f"{name}.json").write_text(json.dumps([row]))
    (folder / "corpus.jsonl").write_text('{"id": "1", "contents": "\\"A\\"\\nb"}\n')
    data = {name: f"mine/{name}.json" for name in ("train", "dev", "test")}
    files = {"laptop": []}
    for scale in SCALES.keys() - files.keys():
        name = yaml.safe_load((ROOT / SCALES[scale][0]).read_text())["train"]["base"]
        base = folder / name
        base.mkdir(exist_ok=True)
        settings = {"data": {**data, "corpus": "mine/corpus.jsonl"}, "train": {"base": str(base)}}
        settings["retriever"] = {"embedder": {"model": str(base)}}
        (folder / f"{scale}.yaml").write_text(yaml.safe_dump(settings))
        files[scale] = [f"mine/{scale}.yaml"]
    return files


@pytest.fixture(scope="module")
def ended(checkout, mine):
    """Each combination's exit status and output."""
    runs = {}
    for preset, scale, profile in itertools.product(PRESETS, SCALES, PROFILES):
        layers = [*PRESETS[preset], *SCALES[scale], *mine[scale]]
        runs[preset, scale, profile] = plan(layers, profile, TARGETS.get(preset, ()))
    for number, submission in enumerate(SUBMISSIONS):
        layers = [*PRESETS["search_sft"], submission]
        folder = yaml.safe_load((ROOT / submission).read_text())["pathvars"]["results"]
        runs["submission", number, "default"] = plan(layers, "default", [f"{folder}/test.json"])
    command = [sys.executable, ROOT / "tests/helpers/runs.py", "2"]
    done = subprocess.run(
        command, input=json.dumps(list(runs.values())), cwd=checkout.path,
        env=checkout.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return dict(zip(runs, json.loads(done.stdout), strict=True))


def test_every_combination_can_be_planned(ended):
    assert len(ended) == len(PRESETS) * len(SCALES) * len(PROFILES) + len(SUBMISSIONS)
    failed = {key: output[-800:] for key, (code, output) in ended.items() if code}
    assert not failed


def test_nothing_of_the_laptop_is_left_at_a_published_size(ended):
    """Else a real test set would be scored against the laptop's answers."""
    large = [(key, output) for key, (_, output) in ended.items() if key[1] in SCALES]
    left = [key for key, output in large if re.search("^(world|base) ", output, re.MULTILINE)]
    assert {key[1] for key in left} == {"laptop"}


def test_a_plan_names_the_stages_of_its_preset(ended):
    stages = {
        key[0]: output for key, (_, output) in ended.items() if key[1:] == ("laptop", "default")
    }
    assert all("\ncheckpoint " in output for output in stages.values())
    assert "\ngrpo " in stages["grpo"] and "\ngrpo " not in stages["search_sft"]
    assert "\nwritten_trees " in stages["infoseek"]
    assert "\njudge " in stages["simpledeepsearcher"]
