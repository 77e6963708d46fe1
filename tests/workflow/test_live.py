"""The view of a run: calm lines that stay, whatever jobs print, and a terminal left as it was."""

import os
import pty
import shlex
import subprocess
import threading
from types import SimpleNamespace

import pytest

from helpers.checkout import ROOT, copy_repository
from searchtrain.config import read_config
from searchtrain.workflow.live import TAIL, Job
from searchtrain.workflow.student_use import describe_student
from searchtrain.workflow.summary import describe_results

TARGET = "out/results/seeds.parquet"


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A copy with a command line that asks for the view."""
    checkout = copy_repository(tmp_path_factory.mktemp("live"))
    env = checkout.environment()
    env["PYTHONPATH"] = f"{ROOT / 'scripts'}{os.pathsep}{env['PYTHONPATH']}"
    command = [*checkout.command(TARGET), "--logger", "searchtrain"]
    return SimpleNamespace(command=command, env={**env, "TERM": "xterm"}, path=checkout.path)


def run_in_terminal(watched, *args):
    """What a terminal of 100 columns gets, and the exit status."""
    leader, follower = pty.openpty()
    os.environ.setdefault("COLUMNS", "100")
    running = subprocess.Popen(
        [*watched.command, *args], cwd=watched.path, env=watched.env,
        stdin=follower, stdout=follower, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    seen = bytearray()

    def read():
        while True:
            try:
                part = os.read(leader, 4096)
            except OSError:
                return
            if not part:
                return
            seen.extend(part)

    reader = threading.Thread(target=read)
    reader.start()
    status = running.wait(120)
    reader.join(10)
    os.close(leader)
    return seen.decode(), status


def test_without_a_terminal_there_are_plain_lines_and_errors_say_what_the_job_said(watched):
    ended = subprocess.run(
        watched.command, cwd=watched.path, env=watched.env, text=True, capture_output=True
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert "seeds done in" in said and "\x1b" not in said
    assert "jobid" not in said and "Select jobs" not in said
    assert "questions        rows" in (watched.path / ".snakemake/run.log").read_text()
    bad = watched.path / "bad.yaml"
    bad.write_text("world: {sizes: {dev: 9000000}}")
    ended = subprocess.run(
        [*watched.command, "--configfile", "tests/workflow/small.yaml", str(bad)],
        cwd=watched.path, env=watched.env, text=True, capture_output=True,
    )  # fmt: skip
    said = ended.stdout + ended.stderr
    assert ended.returncode != 0 and "✗ world failed" in said
    assert "world.sizes.dev: 9000000" in said.replace("\n", " ") and "logs/world.log" in said


def test_in_a_terminal_a_line_stays_for_each_job_and_the_cursor_comes_back(watched):
    said, status = run_in_terminal(watched, "--forceall")
    assert status == 0, said
    assert "✓" in said and "of 2 steps" in said and "jobid" not in said
    assert said.rfind("\x1b[?25h") > said.rfind("\x1b[?25l") >= 0
    said, status = run_in_terminal(watched)
    assert status == 0 and "Nothing to be done" in said


def test_verbose_and_dry_runs_have_snakemakes_own_view(watched):
    ended = subprocess.run(
        [*watched.command, "--dry-run", "--forceall"],
        cwd=watched.path, env=watched.env, text=True, capture_output=True,
    )  # fmt: skip
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0 and "jobid" in said and "This was a dry-run" in said


def test_a_log_cannot_control_the_terminal_nor_fill_it(tmp_path):
    log = tmp_path / "job.log"
    log.write_text(
        "12:00:00 tag: \x1b[2J\x1b]0;owned\x07<b>bold</b> [red]x[/red]" + "y" * 2_000_000
    )
    job = Job("tag", "", log)
    assert "\x1b" not in job.read_last() and "\x07" not in job.read_last()
    assert len(job.read_last()) <= TAIL
    log.write_text("12:00:00 seeds: 3 of 4 questions are usable:\nin  4\nout  3\n")
    assert job.read_last() == "3 of 4 questions are usable"


def test_a_rule_that_stands_behind_another_gives_no_reason():
    behind = "Missing output files: a; Input files updated by another job: b"
    assert Job("x", behind, None).why == ""
    assert Job("x", f"{behind}; Code has changed", None).why == "Code has changed"


def test_the_end_of_a_run_tells_the_scores_and_what_to_open(tmp_path):
    assert describe_results(tmp_path) == ""
    (tmp_path / "metrics.json").write_text(
        '{"dev": {"em_strict": 0.5, "intervals": {"em_strict": [0.4, 0.6]}}}'
    )
    said = describe_results(tmp_path)
    assert "exact match on dev: 0.500 (0.400 to 0.600)" in said and "metrics.json" in said


def test_the_end_of_a_run_tells_how_to_use_the_student(tmp_path):
    """With what vLLM was started with, but for what only makes it faster."""
    config = read_config({"models": {"student": {"vllm": {"args": {"dtype": "half"}}}}})
    assert describe_student(config, tmp_path) == []
    (tmp_path / "checkpoint").mkdir()
    asked, loaded, served = describe_student(config, tmp_path)
    assert asked.endswith(f"make ask RESULTS={tmp_path}")
    assert shlex.split(loaded)[-1].endswith(f"pipeline('text-generation', '{tmp_path}/checkpoint')")
    words = shlex.split(served)
    assert words[words.index("--model") + 1] == f"{tmp_path}/checkpoint"
    assert words[words.index("--dtype") + 1] == "half" and "--kv-cache-memory-bytes" in words
    assert "--max-num-seqs" not in words
