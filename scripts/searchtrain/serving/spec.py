"""What a server is to be, read from JSON and checked; the schema of `serve.py --spec`.

Standard library only: the settings' own models are not in the environment of every server.
Invariant: a spec that `read_spec` returns can be turned into a command line.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from searchtrain.core.errors import InputError
from searchtrain.serving.model_folder import check_model_folder

NEEDS = {
    "retriever": ("index", "corpus"),
    "vllm": ("model",),
    "scripted": ("model", "ledger"),
    "web": ("index", "corpus", "ledger"),
    "command": ("command",),
}
"""The kinds of server, and the fields that each cannot do without."""
WORDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    dict: "an object",
    list: "a list",
    NoneType: "null",
}


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What to serve; which of the later fields count depends on `serve`."""

    serve: str
    """`retriever`, `vllm`, `scripted` (the laptop world's teacher), `web` (the laptop's own web) or
    `command`."""
    port: int | None = None
    """None takes a free one."""
    ready_timeout: float = 300
    """Seconds until the server must answer `health`."""
    grace: float = 10
    """Seconds between SIGTERM and SIGKILL."""
    env: dict[str, Any] = field(default_factory=dict)
    """Environment variables of the server; null takes one away."""
    index: str | None = None
    corpus: str | None = None
    model: str | None = None
    """vllm: a folder or a hub name. scripted: the name it answers to."""
    served_model_name: str | None = None
    args: dict[str, Any] = field(default_factory=dict)
    """vllm: its engine arguments, `max_model_len: 2048` for `--max-model-len 2048`. retriever: the
    options of its program but for index, corpus and port."""
    rates: dict[str, Any] = field(default_factory=dict)
    ledger: str | None = None
    gpus: int = 0
    """Devices that the server gets for itself; 0 leaves its environment as it is."""
    command: list[Any] | None = None
    """command: the program and its arguments; `{port}` in one stands for the port."""
    health: str = "/health"
    """The path that answers 200 once the server is ready."""


def read_spec(values: Any, server: str) -> ServerSpec:
    """Make a spec of a JSON value.

    Raises InputError naming the server, the field, its value and what it may be.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{server}: {values!r} is no spec; give a JSON object")
    hints = get_type_hints(ServerSpec)
    for name, value in values.items():
        if name not in hints:
            raise InputError(
                f"{server}.{name}: unknown setting; known are {', '.join(sorted(hints))}"
            )
        # `dict[str, Any]` stands for dict, `int | None` for int and NoneType.
        parts = get_args(hints[name]) if isinstance(hints[name], UnionType) else [hints[name]]
        kinds = [get_origin(part) or part for part in parts]
        accepted = [*kinds, int] if float in kinds else kinds
        if isinstance(value, bool) or not isinstance(value, tuple(accepted)):
            allowed = " or ".join(WORDS[kind] for kind in kinds)
            raise InputError(f"{server}: {name}: {value!r} is not allowed; it must be {allowed}")
    if "serve" not in values:
        raise InputError(f"{server}: serve: missing; use one of {', '.join(sorted(NEEDS))}")
    spec = ServerSpec(**values)
    check_spec(spec, server)
    return spec


def check_spec(spec: ServerSpec, server: str) -> None:
    """Raise InputError for a field that is missing or out of range."""
    if spec.serve not in NEEDS:
        raise InputError(
            f"{server}: serve: {spec.serve!r} is not known; use one of {', '.join(sorted(NEEDS))}"
        )
    for name in NEEDS[spec.serve]:
        if not getattr(spec, name):
            raise InputError(f"{server}: {name}: missing; serve {spec.serve} needs it")
    for name in ("ready_timeout", "grace", "gpus"):
        value = getattr(spec, name)
        if not value >= 0:
            raise InputError(f"{server}: {name}: {value!r} is out of range; it must be at least 0")
    if spec.port is not None and not 1 <= spec.port <= 65_535:
        raise InputError(f"{server}: port: {spec.port} is not a port; use 1 to 65535, or null")
    if spec.serve == "vllm" and Path(str(spec.model)).is_dir():
        check_model_folder(Path(str(spec.model)), server)
