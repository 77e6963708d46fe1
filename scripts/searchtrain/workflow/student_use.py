"""What to do with the student that a run has made: lines to copy and paste.

Invariant: a line works as it stands in the checkout, in the environment that the run had.
"""

import shlex
from pathlib import Path

from searchtrain.config import Config
from searchtrain.serving.command import render_arguments

FITTING = ("tensor-parallel-size", "kv-cache-memory-bytes", "gpu-memory-utilization")
"""Of vLLM's arguments that only make it faster or fit the machine those that it may not start
without: on a CPU it wants nearly all memory."""


def describe_student(config: Config, results: Path) -> list[str]:
    """How to ask the student, load it in transformers and serve it; empty where there is none."""
    folder = results / "checkpoint"
    if not folder.is_dir():
        return []
    asked = ["make", "ask"]
    asked += [f"RESULTS={results}"] * (str(results) != "results")
    load = f"from transformers import pipeline; ask = pipeline('text-generation', '{folder}')"
    vllm = config.models.student.vllm
    fitting = {name: vllm.tuning[name] for name in FITTING if name in vllm.tuning}
    options = render_arguments({"model": str(folder), **vllm.args, **fitting})
    serve = ["python", "-m", "vllm.entrypoints.openai.api_server", *options]
    return [
        f"ask the student, and watch it search: {shlex.join(asked)}",
        f'load it: python -i -c "{load}"',
        f"serve it: {shlex.join(serve)}",
    ]
