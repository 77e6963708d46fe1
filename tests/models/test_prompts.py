"""Prompt files: strict variables, includes, clear faults."""

import pytest

from helpers.checkout import ROOT
from searchtrain.config import Limits, describe_limits
from searchtrain.core.errors import PromptError
from searchtrain.models.prompts import list_prompt_files, render_prompt


def test_renders_variables_and_includes(tmp_path):
    (tmp_path / "a.jinja").write_text("Hello.\n")
    (tmp_path / "b.jinja").write_text('{% include "a.jinja" %}\n\nUp to {{ max_turns }} turns.\n')
    assert render_prompt(tmp_path / "b.jinja", max_turns=3) == "Hello.\nUp to 3 turns."
    assert [f.name for f in list_prompt_files(tmp_path / "b.jinja")] == ["b.jinja", "a.jinja"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{{ max_truns }}",
            "'max_truns' is undefined; variables that this prompt may use: max_turns",
        ),
        ("one\n{% if %}", "line 2"),
        ("  \n", "the prompt is empty"),
        ('{% include "gone.jinja" %}', "'gone.jinja' not found"),
    ],
)
def test_faults_name_the_file_and_the_place(tmp_path, text, said):
    file = tmp_path / "p.jinja"
    file.write_text(text)
    with pytest.raises(PromptError) as caught:
        render_prompt(file, max_turns=3)
    assert str(file) in str(caught.value) and said in str(caught.value)


def test_missing_prompt(tmp_path):
    with pytest.raises(PromptError, match="not found"):
        render_prompt(tmp_path / "gone.jinja")


@pytest.mark.parametrize("format_name", ["tags", "search_r1", "tool_calls"])
def test_a_teacher_reasons_at_length_where_the_config_says_so(format_name):
    """SimpleDeepSearcher's way; the laptop's students are too small to learn from more."""
    told = describe_limits(Limits(max_queries=1), format_name)
    short, long = (
        render_prompt(ROOT / "config/prompts/agent_teacher.jinja", thought=thought, hint="", **told)
        for thought in ("short", "long")
    )
    assert "one to three short sentences" in short and "short sentences" not in long
    assert "for as long as it takes" in long and "lines" not in long
