"""The figure of a GRPO run."""

import pytest

from helpers.steps import make_steps
from searchtrain.report.training_chart import average_curve, draw_history


def test_the_heavy_line_is_a_mean_of_what_came_before():
    assert average_curve([1, 3, 5, 7], 2) == [1, 2, 4, 6]


@pytest.mark.parametrize("rows", [make_steps(40), make_steps(1), make_steps(30, kl=None), []])
def test_any_history_can_be_drawn_and_is_drawn_the_same(tmp_path, rows):
    for name in ("a.png", "b.png"):
        draw_history(rows, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
