"""The servers that stages talk to: which, whether the workflow starts them, and how.

A stage's servers are roles of `models`, and `search`: what its agent searches (the retriever or the
web). Invariant: each stage gets a server of its own, since Snakemake starts and ends a server and
its one consumer together.
"""

import shlex
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from searchtrain.config import Config, Role, Student, read_config
from searchtrain.core.errors import InputError
from searchtrain.core.files import canonical_json
from searchtrain.task.constraints import list_secrets
from searchtrain.workflow.code import digest_modules
from searchtrain.workflow.students import list_students

SCRIPTED_CODE = ("demo.roles",)
"""What answers for the scripted roles."""
WEB_CODE = ("demo.web",)
SEARCHED = ("retriever", "web")
"""Servers that are no model."""
OWN_GPUS = {
    "index": "retriever.embedder.gpu",
    "checkpoint": "train.gpu",
    "grpo": "grpo.gpu",
}
"""Stages that hold GPUs themselves, and the setting that says how many."""


@dataclass(frozen=True, slots=True)
class Server:
    """One server as the config has it."""

    name: str
    """`retriever`, `web`, a role that owns its server, or a student's name."""
    key: str
    """Its section, for messages."""
    section: Any


def find_server(config: Config, name: str) -> Server:
    """The server of a role, of `search`, or of a student."""
    if name == "search":
        name = config.search
    if name in SEARCHED:
        return Server(name, name, getattr(config, name))
    if name in {student.name for student in list_students(config).values()}:
        return Server(name, "models.student", config.models.student)
    owner = config.models.owner(name)
    return Server(owner, f"models.{owner}", config.models.resolve(name))


def name_service(config: Config, stage: str, name: str) -> str | None:
    """The endpoint file of the server that the workflow starts for one job, None for a URL.

    `stage` names the job. Raises InputError when the config has neither.
    """
    server = find_server(config, name)
    if server.section.endpoint:
        return None
    if getattr(server.section, "serve", "by default") is None:
        raise InputError(f"configuration: {server.key}: set endpoint to a URL, or serve")
    return f"<results>/.serve/{stage}-{server.name}.json"


def list_served_files(config: Config, name: str) -> list[str]:
    """What must exist before a server can start."""
    server = find_server(config, name)
    dense = config.retriever.index.engine != "bm25"
    if name == "web" and dense:
        raise InputError(
            "configuration: web.serve: the laptop's web needs retriever.index.engine: bm25"
        )
    if name in SEARCHED:
        reranker = list_reranker(config) if name == "retriever" else []
        return ["<shared>/index", "<shared>/corpus.jsonl", *list_encoder(config), *reranker]
    if isinstance(server.section, Student):
        return [each.folder for each in list_students(config).values() if each.name == name]
    return []


def list_encoder(config: Config) -> list[str]:
    """The folder of the encoder, if the index is one of vectors."""
    if config.retriever.index.engine == "bm25":
        return []
    model = config.retriever.embedder.model
    if not model:
        raise InputError(
            "configuration: retriever.embedder.model: missing; set it to the folder of an encoder,"
            " or retriever.index.engine to bm25"
        )
    return [model]


def list_faiss(config: Config) -> list[str]:
    """The FAISS index that is taken over, if there is one."""
    file = config.retriever.index.faiss
    return [file] if file else []


def list_reranker(config: Config) -> list[str]:
    """The folder of the cross-encoder, if there is one."""
    model = config.retriever.reranker.model
    return [model] if model else []


def describe_reranker(config: Config) -> dict[str, Any]:
    """What decides its order, and how FAISS searches: nothing where neither is used."""
    retriever = config.retriever
    return {
        **({"reranker": retriever.reranker.tracked()} if retriever.reranker.model else {}),
        **({"faiss": retriever.index.faiss_parameters} if retriever.index.faiss else {}),
    }


def identify_server(config: Config, name: str) -> str:
    """What decides a server's answers, as JSON; a change reruns the stage that asks it.

    The index, the corpus and a student's weights are files, which Snakemake compares itself.
    """
    section = find_server(config, name).section
    if name == "retriever":
        engine = config.retriever.index.engine
        fusion = {"fusion": config.retriever.fusion.tracked()} if engine == "hybrid" else {}
        reranking = describe_reranker(config)
        modules = [f"search.{engine}", *["search.reranker"] * ("reranker" in reranking)]
        return canonical_json({"code": digest_modules(modules), **fusion, **reranking})
    if name == "web":
        rates = section.scripted.tracked()
        return canonical_json({"rates": rates, "code": digest_modules(WEB_CODE)})
    if isinstance(section, Role) and section.serve == "scripted":
        return canonical_json(section.tracked())
    return canonical_json({"model": section.model, "args": section.vllm.args})


def revise_scripted(config: Config) -> Config:
    """The same config, where the revision of a scripted role tells its code and mistakes, too."""
    code, changes = "", config.changes()
    for name, role in config.models:
        if isinstance(role, Role) and role.serve == "scripted" and not role.endpoint:
            code = code or digest_modules(SCRIPTED_CODE)
            revision = role.revision + canonical_json(role.scripted.tracked()) + code
            changes.setdefault("models", {}).setdefault(name, {})["revision"] = revision
    return read_config(changes)


def name_environment(config: Config, name: str) -> str:
    """The conda environment of a server, as a rule names it."""
    if name == "retriever":
        return "../envs/retriever.yaml"
    scripted = getattr(find_server(config, name).section, "serve", None) == "scripted"
    return "../envs/workflow.yaml" if scripted else "../envs/vllm.yaml"


def count_gpus(config: Config, name: str) -> int:
    """The GPUs that a server asks for."""
    section = find_server(config, name).section
    gpus: int = getattr(section, "gpu", 0)
    return gpus + section.reranker.gpu if name == "retriever" and list_reranker(config) else gpus


def count_own_gpus(config: Config, stage: str) -> int:
    """The GPUs that the job of a stage asks for beside those of its servers."""
    if stage == "index" and (not list_encoder(config) or list_faiss(config)):
        return 0
    return int(attrgetter(OWN_GPUS[stage])(config)) if stage in OWN_GPUS else 0


def describe_launch(config: Config, job: str, name: str, files: list[str]) -> str:
    """How `scripts/serve.py` starts a server for a job, as JSON; makes nothing stale.

    `files`: those of `list_served_files`, as they lie on disk.
    """
    section = find_server(config, name).section
    hidden = dict.fromkeys(list_secrets(config) if job.startswith("predict") else ())
    vllm = getattr(section, "vllm", None)
    spec: dict[str, Any] = {
        "port": section.port,
        "ready_timeout": section.ready_timeout,
        "gpus": count_gpus(config, name),
        "env": {**(vllm.env if vllm else {}), **hidden},
    }
    if name in SEARCHED:
        spec |= {"index": files[0], "corpus": files[1]}
    if name == "retriever":
        dense = bool(list_encoder(config))
        args: dict[str, Any] = {"encoder": files[2], "gpus": section.gpu} if dense else {}
        if section.index.engine == "hybrid":
            args["fusion"] = section.fusion.tracked()
        if section.index.faiss and section.index.faiss_parameters:
            args["faiss_parameters"] = section.index.faiss_parameters
        if list_reranker(config):
            reranking = {**section.reranker.tracked(), "gpu": section.reranker.gpu}
            args |= {"reranker": files[-1], "reranking": reranking}
        spec |= {"serve": "retriever", "args": args}
    elif getattr(section, "serve", None) == "scripted":
        ledger = "laptop_web" if name == "web" else "scripted_teacher"
        spec |= {
            "serve": "web" if name == "web" else "scripted",
            "ledger": str(Path(config.cache) / f"{ledger}.ledger"),
            "rates": section.scripted.tracked(),
        }
        if name != "web":
            spec["model"] = section.model
    else:
        spec |= {
            "serve": "vllm",
            "model": files[0] if files else section.model,
            "served_model_name": section.model,
            "args": {**section.vllm.args, **section.vllm.tuning},
        }
    return canonical_json(spec)


def hide_secrets(config: Config) -> str:
    """What takes the keys of the task's teacher out of a prediction's environment."""
    secrets = list_secrets(config)
    return shlex.join(["unset", *secrets]) + " && " if secrets else ""
