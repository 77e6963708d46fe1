"""The history of a GRPO run."""

import json

from helpers.steps import make_steps
from searchtrain.rl.history import History


def test_a_run_that_goes_on_forgets_the_steps_that_were_not_saved(tmp_path):
    file = tmp_path / "history.jsonl"
    first = History(file, 0)
    for row in make_steps(5):
        first.add(row)
    second = History(file, 3)
    second.add({"step": 4, "reward": 1.0})
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert lines == second.rows
