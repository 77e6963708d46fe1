"""The adapter to Snakemake's insides: they are as it takes them, in the version it names."""

import subprocess
import sys

import pytest
from snakemake.exceptions import WorkflowError

from searchtrain.workflow.adapter import TESTED, check_version

SNAKEFILE = """
import sys
sys.path.insert(0, {scripts!r})
from searchtrain.workflow.adapter import make_untracked

rule one:
    output: "one.txt"
    params:
        {params}
    shell: "echo {{params.value}} > {{output}}"
"""


def run(folder, params):
    from searchtrain.workflow.code import LIBRARY

    text = SNAKEFILE.format(scripts=str(LIBRARY.parent), params=params)
    (folder / "Snakefile").write_text(text)
    command = [sys.executable, "-m", "snakemake", "--cores", "1"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout + ended.stderr


def test_an_untracked_parameter_is_rendered_and_makes_nothing_stale(tmp_path):
    """Fails when Snakemake changes its mind, or an argument of the helper gets another name."""
    run(tmp_path, "value=make_untracked(lambda wildcards, input: 'a'), tracked=1")
    assert (tmp_path / "one.txt").read_text() == "a\n"
    again = run(tmp_path, "value=make_untracked(lambda wildcards, input: 'b'), tracked=1")
    assert "Nothing to be done" in again
    run(tmp_path, "value=make_untracked(lambda wildcards, input: 'b'), tracked=2")
    assert (tmp_path / "one.txt").read_text() == "b\n"


def test_a_parameter_of_the_wildcards_alone_makes_stale(tmp_path):
    run(tmp_path, "value=lambda wildcards: 'a'")
    run(tmp_path, "value=lambda wildcards: 'b'")
    assert (tmp_path / "one.txt").read_text() == "b\n"


def test_a_version_that_nobody_tested_is_refused_in_one_line():
    check_version(TESTED[-1])
    with pytest.raises(WorkflowError) as caught:
        check_version("10.0.0")
    message = str(caught.value)
    assert "Snakemake 10.0.0" in message and f"snakemake=={TESTED[-1]}" in message
    assert "\n" not in message.strip()
