"""Who holds which GPUs: the order against Snakemake's own jobs, memory against measured peaks."""

import json
import re
import subprocess
import sys
from collections import Counter

import pytest
import yaml
from snakemake.utils import update_config

from helpers.checkout import ROOT
from searchtrain.config import read_config
from searchtrain.task.contexts import find_short
from searchtrain.workflow.gpu_memory import GIB
from searchtrain.workflow.gpu_plan import describe, find_faults, format_order, list_steps
from searchtrain.workflow.project import Project

BIG = {
    "serve": "vllm", "model": "Llama-3.3-70B-Instruct", "same_as": None, "gpu": 4,
    "vllm": {"tuning": {"tensor-parallel-size": 4}},
}  # fmt: skip
SEVENTY = {
    "data": {"test_answers": None, "types": None},
    "refine": {"enabled": True},
    "judge": {"enabled": True},
    "models": {"teacher": BIG, "refiner": BIG, "judge": BIG},
    "task": {"enforced": False},
    "plan": {"gpu_memory": 79, "billions": {"Llama-3.3-70B-Instruct": 70.6}},
}
SEARCH_SFT = ["presets/search_sft.yaml", "scale/h200x8.yaml"]
SHAPE = {
    "num_hidden_layers": 28, "hidden_size": 3584, "vocab_size": 152064, "torch_dtype": "bfloat16",
}  # fmt: skip
"""Qwen2.5-7B's."""
PARAMETERS = 7_615_616_512


def load(files, *changes):
    values = {}
    for file in files:
        update_config(values, yaml.safe_load((ROOT / "config" / file).read_text()))
    for change in changes:
        update_config(values, change)
    return values


def test_a_70b_teacher_judge_and_refiner_take_turns_on_eight_gpus():
    config = read_config(load(SEARCH_SFT, SEVENTY, {"trajectories": {"shards": 1}}))
    steps = [step for step in list_steps(config) if not step.place and step.stage != "grpo"]
    held = {step.stage: {each.name: each.gpus for each in step.holders} for step in steps}
    assert held == {
        "tag": {"teacher": 4},
        "trajectories": {"teacher": 4, "refiner": 4},
        "checkpoint": {"training": 8},
        "predict": {"student": 1, "refiner": 4},
        "judge": {"judge": 4},
    }
    assert list(held) == ["tag", "trajectories", "checkpoint", "predict", "judge"]
    assert not find_faults(config, list_steps(config))
    lines = format_order(describe(config)).splitlines()
    rows = {row[2]: row for line in lines if (row := re.split(r"  +", line))[0].isdigit()}
    assert rows["trajectories"][1] == "4 of tag" and rows["trajectories"][4] == "8"
    assert "refiner 4 (Llama-3.3-70B-Instruct, 33 GiB on each)" in rows["trajectories"][5]
    assert rows["checkpoint"][1] == "8 of trajectories" and rows["judge"][1] == "5 of predict"


def test_what_will_not_do_is_said_with_the_remedy():
    two = {"gpu": 2, "vllm": {"tuning": {"tensor-parallel-size": 2}}}
    config = read_config(
        load(
            SEARCH_SFT,
            SEVENTY,
            # As a pair that together has more than there is, and weights that fill the cards.
            {"models": {"teacher": two, "refiner": {"gpu": 8}, "judge": {"gpu": 2}}},
        )
    )
    faults = " | ".join(find_faults(config, list_steps(config)))
    assert (
        "trajectories needs 10 GPUs at a time (teacher 2 + refiner 8), and plan.gpus is 8" in faults
    )
    assert "refiner (Llama-3.3-70B-Instruct) holds 8 GPUs and uses 4" in faults
    assert "judge (Llama-3.3-70B-Instruct) holds 2 GPUs and uses 4" in faults
    assert "teacher (Llama-3.3-70B-Instruct): about 66 GiB on each GPU" in faults
    assert "raise tensor-parallel-size" in faults


@pytest.fixture
def base(tmp_path):
    """A folder as large as a 7B's, without its weights on the disk."""
    folder = tmp_path / "Qwen2.5-7B-Instruct"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(SHAPE))
    for number in (1, 2):
        with (folder / f"model-0000{number}-of-00002.safetensors").open("wb") as file:
            file.truncate(PARAMETERS)
    return folder


KEPT = {"disable_gradient_checkpointing": True, "enable_liger_kernel": True}
FSDP = {"fsdp": "full_shard auto_wrap"}
MEASURED = [
    (1, {"pure_bf16": True, "cutoff_len": 2430, "disable_gradient_checkpointing": False}, 61),
    (1, {"pure_bf16": True, "cutoff_len": 8192, **KEPT}, 92),
    (1, {"pure_bf16": True, "cutoff_len": 16384, **KEPT}, 126),
    (4, {"cutoff_len": 2430, "disable_gradient_checkpointing": False, **FSDP}, 42),
    (4, {"cutoff_len": 16384, **KEPT, **FSDP}, 109),
]
"""GPUs, arguments, and the peak in GiB that BENCHMARKS.md has."""


@pytest.mark.parametrize(("gpus", "args", "peak"), MEASURED)
def test_training_takes_about_as_much_as_was_measured(base, gpus, args, peak):
    train = {"base": str(base), "gpu": gpus, "processes": gpus, "attention": None}
    args = {"neat_packing": False, "per_device_train_batch_size": 1, **args}
    config = read_config({"train": {**train, "args": args}, "plan": {"gpus": gpus}})
    (step,) = (step for step in list_steps(config) if step.stage == "checkpoint")
    (training,) = step.holders
    assert training.load.total == pytest.approx(peak, rel=0.1)
    assert not training.load.find_fault(140)
    assert "train.args: " in training.load.find_fault(0.8 * peak)


def test_plain_data_parallel_training_of_a_7b_does_not_fit(base):
    train = {"base": str(base), "gpu": 8, "processes": 8, "args": {"cutoff_len": 16384}}
    config = read_config({"train": train, "plan": {"gpus": 8, "gpu_memory": 79}})
    (fault,) = find_faults(config, list_steps(config))
    assert "weights and AdamW 113" in fault and "fsdp: full_shard auto_wrap" in fault


def test_weights_are_measured_in_the_served_dtype(base):
    student = {"gpu": 1, "vllm": {"args": {"dtype": "bfloat16"}}}
    config = read_config({"train": {"base": str(base)}, "models": {"student": student}})
    loads = [each.load for step in list_steps(config) for each in step.holders if each.load]
    assert loads[0].total == pytest.approx(PARAMETERS * 2 / GIB)
    student["vllm"]["args"]["dtype"] = "float32"
    config = read_config({"train": {"base": str(base)}, "models": {"student": student}})
    loads = [each.load for step in list_steps(config) for each in step.holders if each.load]
    assert loads[0].total == pytest.approx(PARAMETERS * 4 / GIB)


SCALES = {
    "h200x8": SEARCH_SFT,
    "simpledeepsearcher": ["presets/simpledeepsearcher.yaml", "scale/simpledeepsearcher.yaml"],
    "infoseek": ["presets/infoseek.yaml", "scale/infoseek.yaml"],
    "infoseek on h200x8": ["presets/infoseek.yaml", "scale/h200x8.yaml"],
}


@pytest.mark.parametrize("name", SCALES)
def test_published_sizes_fit_the_machine_and_their_contexts(name):
    config = read_config(load(SCALES[name]))
    assert find_faults(config, list_steps(config)) == []
    assert [str(each) for each in find_short(config)] == []


def test_limits_that_can_fill_more_than_the_context_are_said():
    short = {"models": {"student": {"vllm": {"args": {"max-model-len": 8192}}}}}
    (said,) = map(str, find_short(read_config(load(SEARCH_SFT, short))))
    assert "predict.limits and models.student.sampling allow about 1" in said
    assert "models.student.vllm.args.max-model-len is 8192" in said


def test_a_run_begins_with_a_warning_of_what_may_end_it(tmp_path):
    """Hours before training runs out of memory."""
    train = {"gpu": 8, "processes": 8, "base": str(tmp_path / "Qwen2.5-7B-Instruct")}
    (tmp_path / "Qwen2.5-7B-Instruct").mkdir()
    plan = {"gpus": 8, "gpu_memory": 79, "billions": {"Qwen2.5-7B-Instruct": 7.6}}
    (doubt,) = Project(ROOT, {"train": train, "plan": plan}).list_doubts()
    assert doubt.startswith("training (") and "fsdp: full_shard auto_wrap" in doubt
    assert Project(ROOT, {}).list_doubts() == []


@pytest.fixture(scope="module")
def dry_runs(checkout):
    """Of each scale, and of the three 70B: the jobs that Snakemake would start together."""
    folder = checkout.path / "planned"
    folder.mkdir()
    for name in ("train", "dev", "test"):
        row = {"id": name, "question": f"Who is the {name}?", "golden_answers": ["Nobody"]}
        (folder / f"{name}.json").write_text(json.dumps([row]))
    (folder / "corpus.jsonl").write_text('{"id": "1", "contents": "\\"A\\"\\nb"}\n')
    configs = {name: load(files) for name, files in SCALES.items()}
    configs["three 70B"] = load(SEARCH_SFT, SEVENTY)
    runs = {}
    for name, values in configs.items():
        base = folder / name / values["train"]["base"]
        base.mkdir(parents=True)
        data = {key: f"planned/{key}.json" for key in ("train", "dev", "test")}
        (base.parent / "encoder").mkdir()
        mine = {
            "data": {**data, "corpus": "planned/corpus.jsonl"},
            "train": {"base": str(base)},
            "retriever": {"embedder": {"model": str(base.parent / "encoder")}},
        }
        configs[name] = load([], values, mine)
        file = folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(configs[name]))
        targets = ["results/test.json", "results/grpo/test.json"]
        profile = ["--workflow-profile", "profiles/gpu8", "--cores", "8"]
        runs[name] = [*targets, "--dry-run", *profile, "--configfile", str(file)]
    command = [sys.executable, ROOT / "tests/helpers/runs.py", "2"]
    done = subprocess.run(
        command, input=json.dumps(list(runs.values())), cwd=checkout.path,
        env=checkout.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {
        name: (read_config(configs[name]), code, output)
        for name, (code, output) in zip(runs, json.loads(done.stdout), strict=True)
    }


@pytest.mark.parametrize("name", [*SCALES, "three 70B"])
def test_the_order_is_that_of_snakemakes_own_jobs(dry_runs, name):
    """Every group of jobs that are started together holds what the plan says, and no other does."""
    config, code, output = dry_runs[name]
    assert code == 0, output[-3000:]
    planned = Counter()
    for step in list_steps(config):
        if step.gpus:
            planned[step.stage, step.gpus] += step.jobs
    assert planned == Counter(list_jobs(output))


def list_jobs(output):
    """Stage and GPUs of every job with its servers in a dry run's output."""
    # A group is indented below its head; any other job stands alone.
    for block in re.split(r"^(?=\[)", output, flags=re.MULTILINE):
        rules = re.findall(r"^ *rule (\w+):", block, re.MULTILINE)
        gpus = sum(map(int, re.findall(r"\bgpu=(\d+)", block)))
        stage = [rule for rule in rules if rule != "serve"]
        if gpus and stage:
            yield stage[0], gpus
