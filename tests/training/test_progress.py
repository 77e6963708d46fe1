"""A training that can be followed: what its log says, and silence where there is nothing to say."""

import json
import logging
import time

from searchtrain.training.progress import LOG, describe_progress, show_progress

ENTRY = {"current_steps": 20, "total_steps": 1700, "loss": 0.5, "remaining_time": "0:04:10"}


def write(folder, *entries):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LOG).write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def test_the_latest_step_with_a_loss_is_told_while_the_training_runs(tmp_path, caplog):
    with caplog.at_level(logging.INFO), show_progress(tmp_path, 0.02):
        write(tmp_path / "run", ENTRY, {**ENTRY, "current_steps": 40}, {"current_steps": 41})
        limit = time.monotonic() + 10
        while "step 40/1700" not in caplog.text and time.monotonic() < limit:
            time.sleep(0.02)
    assert "step 40/1700, loss 0.500, 0:04:10 left" in caplog.text


def test_an_earlier_run_a_broken_line_or_no_log_says_nothing(tmp_path):
    assert describe_progress(tmp_path, 0.0) == ""
    write(tmp_path / "run", ENTRY)
    assert describe_progress(tmp_path, time.time() + 100) == ""
    (tmp_path / "run" / LOG).write_text('{"current_steps": 1, "lo')
    assert describe_progress(tmp_path, 0.0) == ""
