"""Every scale file from end to end, with a user's own file as its head describes it.

Models that no test machine holds are imitated behind vLLM's own command line (`tests/standins`) or
at an endpoint, the student is a tiny one under real vLLM, and the GPUs are names: whoever claims
some leases them, so the logs say who held which.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass

import pytest
import yaml

from conformance.server import serve
from helpers import worlds
from helpers.checkout import ROOT, Checkout, copy_repository
from searchtrain.config import World
from searchtrain.core.files import hash_file, read_json
from searchtrain.data import schemas
from searchtrain.demo.world import write_world

TARGETS = ["out/results/test.json", "out/results/plan.md"]
KEY = "sk-scale"
GPUS = ",".join(map(str, range(8)))
SIZES = {"train": 24, "dev": 2, "test": 3}


@dataclass(frozen=True)
class Scale:
    """A scale file with the preset that it is for."""

    name: str
    preset: str
    data: tuple[str, ...]
    """What its head tells a user to name."""
    base: str
    """The student's folder."""
    hosted: tuple[str, ...] = ()
    """Roles at an endpoint elsewhere, which is imitated."""

    def build(self, checkout: Checkout, url: str) -> subprocess.CompletedProcess[str]:
        """Build it; stdout and stderr come back together in `stdout`. `url`: of its endpoint."""
        self._write_mine(checkout)
        roles = {role: {"endpoint": url} for role in self.hosted}
        (checkout.path / "elsewhere.yaml").write_text(yaml.safe_dump({"models": roles}))
        files = [
            f"config/presets/{self.preset}.yaml", f"config/scale/{self.name}.yaml", "mine.yaml",
            "tests/workflow/tiny.yaml", f"tests/workflow/tiny_{self.name}.yaml", "elsewhere.yaml",
        ]  # fmt: skip
        environment = checkout.environment()
        folder = checkout.path / "tmp"  # the locks of its GPUs lie there
        folder.mkdir(exist_ok=True)
        environment |= {
            "PYTHONPATH": f"{ROOT / 'tests/standins'}{os.pathsep}{environment['PYTHONPATH']}",
            "CUDA_VISIBLE_DEVICES": GPUS,
            "TMPDIR": str(folder),
            "DEEPSEEK_API_KEY": KEY,
        }
        profile = ["--workflow-profile", "profiles/gpu8", "--cores", "2"]
        # Two cores have too few of Snakemake's workers for several stages with servers at a time.
        profile += ["--resources", "gpu=8", "stages=1"]
        command = [sys.executable, "-m", "snakemake", *TARGETS, *profile]
        return subprocess.run(
            [*command, "--configfile", *files], cwd=checkout.path, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def _write_mine(self, checkout: Checkout) -> None:
        folder = checkout.path / "mine"
        write_world(folder, World(sizes=SIZES, details=True))
        worlds.write(folder, folder / self.base, positions=32768)
        values = {
            "data": {name: f"mine/{FILES[name]}" for name in self.data},
            "train": {"base": f"mine/{self.base}"},
        }
        (checkout.path / "mine.yaml").write_text(yaml.safe_dump(values))


FILES = {"corpus": "passages.jsonl", "train": "train.json", "dev": "dev.json", "test": "test.json"}
QUESTIONS = ("train", "dev", "test")
SCALES = {
    "h200x8": Scale("h200x8", "search_sft", ("corpus", *QUESTIONS), "Qwen2.5-7B-Instruct"),
    "simpledeepsearcher": Scale(
        "simpledeepsearcher", "simpledeepsearcher", QUESTIONS, "Qwen2.5-7B-Instruct"
    ),
    "infoseek": Scale(
        "infoseek", "infoseek", ("corpus", *QUESTIONS), "Qwen2.5-3B-Instruct", ("judge", "planner")
    ),
}


@pytest.fixture(scope="module", params=SCALES)
def scale(request):
    return SCALES[request.param]


@pytest.fixture(scope="module")
def built(scale, tmp_path_factory):
    """What a scale file's build made; the tests share it."""
    checkout = copy_repository(tmp_path_factory.mktemp("scale"))
    with serve("deepseek", key=KEY) as elsewhere:
        ended = scale.build(checkout, elsewhere.url)
    assert ended.returncode == 0, ended.stdout[-6000:]
    # Adapted by its dialect, nothing that is sent to it is refused.
    assert elsewhere.ledger.refusals == {}
    assert bool(elsewhere.ledger.requests) == bool(scale.hosted)
    return checkout


def test_every_stage_runs_through_to_an_answer_for_every_question(built, results):
    assert built.left_machine() == ""
    assert not (results / "world").exists()
    asked, answers = read_json(built.path / "mine/test.json"), read_json(results / "test.json")
    assert [row["id"] for row in answers] == [row["id"] for row in asked]
    metrics = read_json(results / "metrics.json")
    assert metrics["dev"]["n"] == SIZES["dev"]


def test_the_teachers_rollouts_can_be_learnt_from(built, scale, results):
    rollouts = schemas.read_table(results / "trajectories.parquet", schemas.Trajectories)
    reasons = Counter(rollouts["stop_reason"])
    # A thought that never ends is cut; the rest must be usable.
    assert reasons["answered"] >= 0.95 * (rollouts.height - reasons["token_limit"])
    assert reasons["token_limit"] <= 0.25 * rollouts.height
    kept = schemas.read_table(results / "curated.parquet", schemas.Curated)
    assert kept.height >= 8
    manifest = read_json(results / "checkpoint/manifest.json")
    assert manifest["data"] == hash_file(results / "sft_dataset.json")


def test_gpus_are_taken_as_the_plan_says(built, results):
    """By the logs of those that leased them: a device has one holder at a time."""
    planned, taken = Counter(), Counter()
    for step in read_json(results / "plan.json")["gpu_order"]["steps"]:
        for holder in step["holders"]:
            if holder["gpus"] and not f"{step['place']}{step['stage']}".startswith("grpo"):
                planned[step["stage"], holder["gpus"]] += step["jobs"]
    for file in (built.path / "out/logs").rglob("*.log"):
        stage = re.sub(r"^serve-|[.-].*", "", file.name)
        for devices in re.findall(r" takes GPU (\S+) of", file.read_text()):
            taken[stage, devices.count(",") + 1] += 1
    assert taken == planned
    assert taken["checkpoint", 8], "which is all that the servers before it had"


def test_what_is_paid_for_is_counted(scale, results):
    report = read_json(results / "trajectories_report.json")
    if scale.name == "simpledeepsearcher":
        searches = report["search"]
        assert (
            searches["dollars"] == pytest.approx(searches["searches"] / 1000) and searches["pages"]
        )
    if scale.name == "infoseek":
        assert read_json(results / "trees_report.json")["dollars_in_all"] > 0
