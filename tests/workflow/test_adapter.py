"""The adapter to Snakemake's insides: they are as it takes them, in the version it names."""

import json
import subprocess
import sys

import pytest
from snakemake.exceptions import WorkflowError

from helpers.checkout import ROOT
from searchtrain.workflow.adapter import TESTED, check_version
from searchtrain.workflow.code import LIBRARY

SNAKEFILE = """
import sys
sys.path.insert(0, {scripts!r})
from searchtrain.workflow.adapter import make_untracked

rule one:
    output: "one.txt"
    params:
        {params}
    shell: "echo {{params.value}} | tee {{output}} >> built.txt"
"""


def build(folder, *params):
    """Build with one `params` after the other; returns what was built, and what each run said."""
    runs = []
    for number, text in enumerate(params):
        file = folder / f"{number}.smk"
        file.write_text(SNAKEFILE.format(scripts=str(LIBRARY.parent), params=text))
        runs.append(["--cores", "1", "--snakefile", str(file)])
    ended = subprocess.run(
        [sys.executable, ROOT / "tests/helpers/runs.py", "1"], input=json.dumps(runs),
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = json.loads(ended.stdout)
    assert not any(code for code, _ in said), said
    return (folder / "built.txt").read_text().split(), [text for _, text in said]


def test_an_untracked_parameter_is_rendered_and_makes_nothing_stale(tmp_path):
    """Fails when Snakemake changes its mind, or an argument of the helper gets another name."""
    built, said = build(
        tmp_path,
        "value=make_untracked(lambda wildcards, input: 'a'), tracked=1",
        "value=make_untracked(lambda wildcards, input: 'b'), tracked=1",
        "value=make_untracked(lambda wildcards, input: 'c'), tracked=2",
    )
    assert "Nothing to be done" in said[1] and built == ["a", "c"]


def test_a_parameter_of_the_wildcards_alone_makes_stale(tmp_path):
    built, _ = build(tmp_path, "value=lambda wildcards: 'a'", "value=lambda wildcards: 'b'")
    assert built == ["a", "b"]


def test_a_version_that_nobody_tested_is_refused_in_one_line():
    check_version(TESTED[-1])
    with pytest.raises(WorkflowError) as caught:
        check_version("10.0.0")
    message = str(caught.value)
    assert "Snakemake 10.0.0" in message and f"snakemake=={TESTED[-1]}" in message
    assert "\n" not in message.strip()
