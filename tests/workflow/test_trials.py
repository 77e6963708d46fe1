"""Candidates that dev decides between: which jobs they mean, and a build with a choice."""

import pytest
import yaml

from helpers.checkout import TARGET, copy_repository
from searchtrain.core.files import hash_file, read_json
from searchtrain.data import schemas

TRIALS = {
    "average": 2,
    "candidates": {
        "plain": {"args": {"save_total_limit": 2, "save_steps": 6}},
        "closing": {"rows": {"answers": 0.5}, "args": {"max_steps": 8}},
        "pairs": {
            "preference": True,
            "after": "plain",
            "args": {"max_steps": 4, "learning_rate": 1.0e-4, "use_muon": False},
        },
    },
}


def lay(path, trials, **more):
    path.write_text(yaml.safe_dump({"trials": trials, **more}, sort_keys=False))
    return str(path)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A small build with four candidates."""
    checkout = copy_repository(tmp_path_factory.mktemp("trials"))
    file = lay(checkout.path / "trials.yaml", TRIALS, predict={"untrained": False})
    ended = checkout.run(TARGET, configfiles=[file])
    assert ended.returncode == 0, ended.stdout[-6000:]
    return checkout


@pytest.mark.build
def test_the_best_on_dev_is_the_student_and_only_it_answers_the_test(built, results):
    report = read_json(results / "trials.json")
    assert list(report["candidates"]) == ["plain", "closing", "pairs", "average"]
    chosen = results / "trials" / report["best"] / "checkpoint"
    weights = [folder / "model.safetensors" for folder in (results / "checkpoint", chosen)]
    assert hash_file(weights[0]) == hash_file(weights[1])
    assert read_json(results / "checkpoint/manifest.json")["trials"] == report
    for name in report["candidates"]:
        rows = schemas.read_table(
            results / f"trials/{name}/predictions.parquet", schemas.Predictions
        )
        assert set(rows["split"]) == {"dev"}
    assert len(read_json(results / "test.json")) == 12


@pytest.mark.build
def test_the_average_is_the_mean_of_saved_states_and_preference_training_moved_the_weights(results):
    manifest = read_json(results / "trials/average/checkpoint/manifest.json")
    assert manifest["averaged"] == ["checkpoint-6", "checkpoint-12"]
    hashes = {
        hash_file(results / f"trials/{name}/checkpoint/model.safetensors")
        for name in ("plain", "closing", "pairs", "average")
    }
    assert len(hashes) == 4
    log = read_json(results / "trials/pairs/checkpoint/manifest.json")
    assert log["pairs"] > 0 and log["config"]["args"]["neat_packing"] is False


@pytest.mark.build
def test_a_changed_candidate_alone_is_trained_again(built):
    changed = {**TRIALS, "candidates": {**TRIALS["candidates"]}}
    changed["candidates"]["closing"] = {"rows": {"answers": 0.5}, "args": {"max_steps": 9}}
    file = lay(built.path / "changed.yaml", changed, predict={"untrained": False})
    ended = built.run(TARGET, "--dry-run", configfiles=[file])
    lines = [line.split() for line in ended.stdout.splitlines()]
    counts = {line[0]: line[1] for line in lines if len(line) == 2 and line[1].isdigit()}
    assert counts["checkpoint"] == "1" and counts["choice"] == "1" and "average" not in counts
    assert "trajectories" not in counts and "sft_dataset" not in counts


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ({"candidates": {"a": {"after": "b"}}}, "candidates.a.after: b: no candidate"),
        ({"candidates": {"a": {"preference": True}}}, "candidates.a.after: missing"),
        ({"candidates": {"a": {}}, "average": 3}, "3 states are averaged"),
        ({"candidates": {"average": {}}}, "this is what trials.average makes"),
        (
            {"candidates": {"a": {"after": "b"}, "b": {"after": "a"}}},
            "goes in a circle: a -> b -> a",
        ),
    ],
)
def test_what_cannot_be_tried_is_refused_when_the_workflow_is_read(
    checkout, tmp_path, trials, said
):
    file = lay(tmp_path / "trials.yaml", trials)
    ended = checkout.run(TARGET, "--dry-run", configfiles=[file])
    assert ended.returncode != 0 and said in ended.stdout
