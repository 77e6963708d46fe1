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
    if spec.serve == "command":
        return [str(part).replace("{port}", str(port)) for part in spec.command or ()]
    at = {"host": HOST, "port": port}
    paths = {"index": spec.index, "corpus": spec.corpus}
    scripted = {"rates": spec.rates, "ledger": spec.ledger}
    # The module, not the `vllm` command: that one fails in the CPU build.
    module, args = {
        "retriever": ("searchtrain.search.server", {**paths, **spec.args, **at}),
        "web": ("searchtrain.demo.web", {**paths, **scripted, **at}),
        "scripted": (
            "searchtrain.demo.endpoint",
            {"model": spec.model, "port": port, **scripted},
        ),
        "vllm": (
            "vllm.entrypoints.openai.api_server",
            {
                "model": spec.model,
                "served_model_name": spec.served_model_name or None,
                **at,
                **spec.args,
            },
        ),
    }[spec.serve]
    return [sys.executable, "-m", module, *render_arguments(args)]


def render_arguments(args: Mapping[str, Any]) -> list[str]:
    """Turn `{"max_model_len": 2048, "enforce_eager": true}` into command-line arguments.

    True and false give `--name` and `--no-name`, null nothing, a list several values, an object
    JSON.
    """
    rendered: list[str] = []
    for name, value in args.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            rendered.append(f"--{option}" if value else f"--no-{option}")
        elif value is not None:
            values = value if isinstance(value, list) else [value]
            texts = [
                json.dumps(each) if isinstance(each, Mapping) else str(each) for each in values
            ]
            rendered += [f"--{option}", *texts]
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
