"""What is wrong is said in one line, the run fails, and earlier results stay as they were."""

import fcntl
import json
import socket

import pytest

from helpers.checkout import copy_repository

SAMPLED = "out/results/sampled.parquet"
TRAJECTORIES = "out/results/trajectories.parquet"


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """A checkout in which a run up to the trajectories has succeeded."""
    checkout = copy_repository(tmp_path_factory.mktemp("bad"))
    ended = checkout.run(TRAJECTORIES, SAMPLED)
    assert ended.returncode == 0, ended.stdout[-4000:]
    return checkout


@pytest.fixture
def fails(earlier):
    """Run with a fault; returns what was said, after a check that nothing was lost."""
    before = snapshot(earlier)

    def run(*args, overlay=None, target=TRAJECTORIES):
        files = []
        if overlay is not None:
            file = earlier.path / "overlay.yaml"
            file.write_text(json.dumps(overlay))
            files = [str(file)]
        ended = earlier.run(target, *args, configfiles=files)
        assert ended.returncode != 0, ended.stdout
        assert snapshot(earlier) == before
        return ended.stdout

    yield run
    # What was put back is as fresh as it was: with the fault gone, nothing is to be done.
    assert earlier.plan(target=TRAJECTORIES) == set()


def snapshot(checkout):
    results = checkout.path / "out/results"
    return {
        file.relative_to(results).as_posix(): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in results.rglob("*")
        if file.is_file()
    }


def write_questions(checkout, name, value):
    file = checkout.path / name
    file.write_text(value if isinstance(value, str) else json.dumps(value))
    return name


def question(**changes):
    return {"id": "1", "question": "Where is Oslo?", "golden_answers": ["Norway"], **changes}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", "the file is empty"),
        ('[{"id": "1",\n "question" }]', "line 2, column"),
        ({"id": "1"}, "'question' is missing"),
        ([question(), {"id": "2", "question": "Who?"}, {"id": "3"}], "row 2"),
        ([question(golden_answers=[])], "golden_answers"),
    ],
)
def test_seed_questions(earlier, fails, rows, said):
    name = write_questions(earlier, "bad.json", rows)
    output = fails(overlay={"data": {"train": name}})
    line = next(line for line in output.splitlines() if "seeds: error:" in line)
    assert f"{name}: " in line and said in line


def test_one_id_twice_where_reading_is_strict(earlier, fails):
    row = {"id": "t1", "question": "Where is Oslo?"}
    name = write_questions(earlier, "twice.json", [row, row])
    output = fails(overlay={"data": {"test": name}, "seeds": {"strict": True}})
    assert f"error: {name}: row 2" in output and "'t1'" in output


def test_unknown_key_and_value_out_of_range(fails):
    assert "unknown key sample.totl" in fails(overlay={"sample": {"totl": 3}})
    said = fails(overlay={"tag": {"max_failed_share": 1.5}})
    assert "tag.max_failed_share: 1.5 is not allowed; it must be a number from 0 to 1" in said


def test_missing_corpus(fails):
    output = fails(overlay={"data": {"corpus": "gone.jsonl"}})
    assert "gone.jsonl" in output and "data.corpus" in output


def test_malformed_corpus(earlier, fails):
    name = write_questions(earlier, "corpus.jsonl", '{"id": "1"}\n')
    output = fails(overlay={"data": {"corpus": name}})
    assert f"error: {name}: line 1: contents" in output


def test_prompt_with_an_undefined_variable(earlier, fails):
    prompt = "config/prompts/tag.jinja"
    before = (earlier.path / prompt).read_text()
    (earlier.path / prompt).write_text(before + "{{ domians }}")
    try:
        output = fails()
    finally:
        (earlier.path / prompt).write_text(before)
    assert f"error: {prompt}: 'domians' is undefined" in output


def test_port_in_use(fails):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        # A new revision makes the trajectories stale, so that the servers are needed.
        teacher = {"port": port, "revision": "other"}
        output = fails(overlay={"models": {"teacher": teacher}})
    assert f"port {port} is already in use" in output and "set another port" in output


@pytest.mark.parametrize(
    ("mistakes", "said"),
    [
        ({"http_500": 1.0}, "http_500"),
        ({"hang": 1.0}, "no answer within 1 s"),
        ({"prose_json": 1.0}, "no JSON object"),
    ],
)
def test_a_teacher_that_does_not_work(fails, mistakes, said):
    teacher = {"scripted": mistakes, "timeout": 1, "attempts": 1}
    output = fails(overlay={"models": {"teacher": teacher}})
    line = next(line for line in output.splitlines() if "tag: error:" in line)
    assert said in line and "tag.max_failed_share" in line and len(line) < 800


def test_an_endpoint_where_nobody_listens(fails):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    teacher = {"endpoint": f"http://127.0.0.1:{port}/v1", "attempts": 1, "revision": "other"}
    output = fails(overlay={"models": {"teacher": teacher}})
    assert f"http://127.0.0.1:{port}/v1" in output and "check that the server is up" in output


@pytest.mark.parametrize(
    ("overlay", "target", "said"),
    [
        ({"train": {"gpu": 8}}, "out/results/checkpoint", "train.gpu: rule checkpoint asks for 8"),
        (
            {"models": {"teacher": {"gpu": 2}}, "trajectories": {"seed": 2}},
            TRAJECTORIES,
            "models.teacher.gpu: rule trajectories asks for 2",
        ),
    ],
)
def test_more_gpus_than_the_run_may_use(fails, overlay, target, said):
    output = fails(overlay=overlay, target=target)
    assert f"{said} GPUs, and this run may use 0" in output and "--resources gpu=" in output


def test_a_student_that_grpo_can_not_train(fails):
    overlay = {"models": {"student": {"format": "search_r1"}}}
    output = fails(overlay=overlay, target="out/results/grpo/checkpoint")
    assert "models.student.format: GRPO knows format: tags only" in output


def test_two_runs_at_a_time(earlier):
    """The second one is refused, and results are none the worse for it."""
    before = snapshot(earlier)
    with (earlier.path / ".snakemake/searchtrain.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as a run holds it
        second = earlier.run(TRAJECTORIES, "--forcerun", "seeds")
    assert second.returncode != 0 and "another run works in" in second.stdout
    assert snapshot(earlier) == before
    assert earlier.plan(target=TRAJECTORIES) == set()
