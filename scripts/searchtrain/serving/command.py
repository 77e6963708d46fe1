"""How each kind of server is started: its command line and its environment.

Invariant: what is built depends on the spec, the port and this process's environment alone.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from searchtrain.serving import process
from searchtrain.serving.port import HOST
from searchtrain.serving.spec import ServerSpec


def build_command(spec: ServerSpec, port: int) -> list[str]:
    """The server's command line."""
    at = ["--host", HOST, "--port", str(port)]
    python = [sys.executable, "-m"]
    if spec.serve == "command":
        return [str(part).replace("{port}", str(port)) for part in spec.command or ()]
    paths = ["--index", str(spec.index), "--corpus", str(spec.corpus)]
    options = ["--rates", json.dumps(spec.rates), "--ledger", str(spec.ledger)]
    if spec.serve == "retriever":
        return [*python, "searchtrain.search.server", *paths, *render_arguments(spec.args), *at]
    if spec.serve == "web":
        return [*python, "searchtrain.demo.web", *paths, *options, *at]
    if spec.serve == "scripted":
        model = ["--model", str(spec.model), "--port", str(port)]
        return [*python, "searchtrain.demo.endpoint", *model, *options]
    name = ["--served-model-name", spec.served_model_name] if spec.served_model_name else []
    # The module, not the `vllm` command: that one fails in the CPU build.
    return [
        *python,
        "vllm.entrypoints.openai.api_server",
        *("--model", str(spec.model)),
        *name,
        *at,
        *render_arguments(spec.args),
    ]


def render_arguments(args: Mapping[str, Any]) -> list[str]:
    """Turn `{"max_model_len": 2048, "enforce_eager": true}` into command-line arguments.

    True and false give `--name` and `--no-name`, null nothing, a list several values, an object
    JSON.
    """
    rendered: list[str] = []
    for name, value in args.items():
        option = name.replace("_", "-")
        if value is None:
            continue
        if isinstance(value, bool):
            rendered.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, list):
            rendered += [f"--{option}", *map(str, value)]
        elif isinstance(value, Mapping):
            rendered += [f"--{option}", json.dumps(value)]
        else:
            rendered += [f"--{option}", str(value)]
    return rendered


def build_environment(spec: ServerSpec) -> dict[str, str]:
    """The server's environment: this process's, defaults, then what the spec says."""
    # Two threads on shared cores are far slower than one.
    defaults = {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    if spec.serve == "vllm":
        defaults |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
        if Path(str(spec.model)).is_dir():
            defaults["HF_HUB_OFFLINE"] = "1"
    return process.build_environment({**defaults, **spec.env})
