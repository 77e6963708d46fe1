"""Load and validate the config; what a rule needs to say when it is stale."""

import shlex
import sys
from functools import cache
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "scripts"))

from snakemake.exceptions import WorkflowError

from searchtrain.task.budget import check_budget, start_clock, sum_rest
from searchtrain.config.validation import validate_config
from searchtrain.core.errors import SearchTrainError
from searchtrain.core.files import canonical_json
from searchtrain.config.limits import Limits, describe_limits
from searchtrain.data.lineage import digest_code
from searchtrain.task.plan import SECTIONS, STAGES, count_questions, make_plan
from searchtrain.models.prompts import list_prompt_files
from searchtrain.task.submissions import FILES as SUBMITTED
from searchtrain.task.constraints import check_task, list_secrets, list_writers

try:
    validate_config(config, ROOT / "config" / "schema.yaml")
    if not config["task"]["enforced"]:
        # A scale file names the models; whether nothing else may be used is the preset's to say.
        config["task"].update(teacher=None, student=None, seed_data_only=False)
    check_task(config)
except SearchTrainError as error:
    raise WorkflowError(str(error))


BENCHMARKS = config["data"]["benchmarks"]
QRELS = config["data"]["qrels"]
SEARCH = config["search"]
DENSE = config["retriever"]["index"]["engine"] != "bm25"
ENCODER_GPUS = config["retriever"]["embedder"]["gpu"] if DENSE else 0
REFINER = ["refiner"] * config["refine"]["enabled"]
FILES = {
    **{f"data.{key}": file for key, file in config["data"].items() if isinstance(file, str)},
    **{f"data.benchmarks.{name}": file for name, file in BENCHMARKS.items()},
    **{f"data.qrels.{name}.{kind}": QRELS[name][kind] for name in QRELS for kind in QRELS[name]},
    "train.base": config["train"]["base"],
    "mix.file": config["mix"]["file"],
    "retriever.embedder.model": config["retriever"]["embedder"]["model"] if DENSE else None,
}

for key, file in FILES.items():
    # Snakemake would go on with what an earlier run made of a file that is gone.
    if file and not file.startswith("<results>") and not Path(file).exists():
        raise WorkflowError(f"configuration: {key}: {file}: no such file; check the path")


TASK = config["task"]
TRACED = bool(TASK["seed_data_only"] or TASK["teacher"])
"""Whether training data must trace to seed questions and the named teacher."""
TREES = config["trees"]["enabled"]
ROUNDS = config["rounds"]["count"]


def checkpoint_of(number):
    """The student after an SFT round, from 1; the last round's is the run's checkpoint."""
    if number == ROUNDS:
        return "<results>/checkpoint"
    return f"<results>/rounds/{number}/checkpoint"


STUDENTS = {
    "student": "<results>/checkpoint",
    "base": config["train"]["base"],
    "grpo": "<results>/grpo/checkpoint",
    **{f"round{number}": checkpoint_of(number) for number in range(1, ROUNDS)},
}
"""Servers of the student at a stage of its training, and the folders that they serve."""


RUNTIME = ("concurrency", "timeout", "attempts", "ready_timeout", "api_key_env", "price", "cache")
PAGES_RUNTIME = ("concurrency", "per_host", "timeout", "workers")
"""What changes how fast and how dear an answer comes, and not the answer."""


SERVING = ("serve", "endpoint", "port", "scripted")
"""How the workflow starts a server."""


TUNING = {
    "tensor-parallel-size",
    "pipeline-parallel-size",
    "data-parallel-size",
    "gpu-memory-utilization",
    "max-num-seqs",
    "max-num-batched-tokens",
    "enforce-eager",
    "enable-prefix-caching",
    "enable-chunked-prefill",
    "kv-cache-memory-bytes",
    "disable-uvicorn-access-log",
    "disable-log-requests",
    "disable-log-stats",
}
"""Arguments of vLLM that make an answer faster and not different."""


def code(name):
    """What `scripts/<name>.py` and all that it imports do, as a digest: a comment changes nothing."""
    return digest_code(ROOT / "scripts" / f"{name}.py", ROOT / "scripts")


def prompt(name):
    """A prompt file."""
    return f"config/prompts/{name}.jinja"


def included(name):
    """The files that a prompt file includes."""
    files = list_prompt_files(ROOT / prompt(name))[1:]
    return [file.relative_to(ROOT).as_posix() for file in files]


def settings(**values):
    """Config values as one canonical string, so that the order of keys makes nothing stale."""
    return canonical_json(values)


RESULTS = config.get("pathvars", {}).get("results", "results")
BENCHMARKS_FOLDER = config.get("pathvars", {}).get("benchmarks", "benchmarks")
PLANNED = settings(**{section: config[section] for section in SECTIONS})


@cache
def planned():
    """The run's plan; made when it is first asked for."""
    return make_plan(config, count_questions(config, RESULTS))


def within_budget(stage):
    """What a long stage's command begins with: a check of the task's hours, if they are limited.

    It is no setting of the stage, so neither rates nor the budget make it stale.
    """

    def render(wildcards, resources):
        hours = TASK["budget_hours"]
        if hours is None:
            return ""
        rest = ["--rest", f"{sum_rest(planned(), stage):.4f}", "--budget", f"{hours:g}"]
        place = ["--over-budget", TASK["over_budget"], "--cache", config["cache"]]
        check = ["python", "scripts/budget.py", "--stage", stage, *rest, *place]
        return shlex.join(check) + " && "

    return render


def gpus_of(section):
    """The GPUs that a section asks for: makes nothing stale."""

    def render(wildcards, resources):
        # Not `resources.gpu`, which Snakemake lowers to what a run may use.
        return config[section]["gpu"]

    return render


def wish_of(job):
    """The GPUs that a job asks for, and the setting that says so."""
    server = getattr(job.wildcards, "server", None)
    if server:
        owner = "student" if server in STUDENTS else owner_of(server)
        place = owner if owner in config else f"models.{owner}"
        return section_of(server).get("gpu", 0), f"{place}.gpu"
    wishes = {
        "checkpoint": (config["train"]["gpu"], "train.gpu"),
        "grpo": (config["grpo"]["gpu"], "grpo.gpu"),
        "index": (ENCODER_GPUS, "retriever.embedder.gpu"),
    }
    return wishes.get(job.rule.name.removesuffix("_round"), (0, ""))


def check_gpus(jobs):
    """Before a run: Snakemake would give a job fewer GPUs than it asks for, and say nothing."""
    most = workflow.global_resources.get("gpu")
    if most is None or most.value is None:
        return  # a cluster's scheduler knows what there is
    for job in jobs:
        asked, key = wish_of(job)
        if asked > most.value:
            raise WorkflowError(
                f"configuration: {key}: rule {job.rule.name} asks for {asked} GPUs, and this run may"
                f" use {most.value}: lower {key}, or take another profile or --resources gpu={asked}"
            )


def check_hours(jobs):
    """Before a run: start the task's clock, and refuse long stages that the plan has no time for."""
    if TASK["budget_hours"] is None or not {job.rule.name for job in jobs}.intersection(STAGES):
        return
    start_clock(config["cache"])
    try:
        check_budget(planned(), config)
    except SearchTrainError as error:
        raise WorkflowError(str(error))


def built_submissions(wildcards):
    """The files that the table of submissions compares, as far as they are there."""
    files = [Path(folder) / name for folder in TASK["submissions"].values() for name in SUBMITTED]
    return [file.as_posix() for file in files if file.exists()]


def submission_commands(wildcards, input):
    """How each submission is built, as far as this run's own command line tells."""
    own = [Path(file) for file in workflow.overwrite_configfiles]
    laid = [file.relative_to(Path.cwd()) if file.is_absolute() else file for file in own]
    commands = {}
    for name, folder in TASK["submissions"].items():
        change = Path("config/submissions") / f"{name}.yaml"
        files = [*laid, change] if change.exists() else laid
        target = ["snakemake", f"{folder}/test.json", "--cores", "all"]
        commands[name] = shlex.join([*target, *["--configfile"] * bool(files), *map(str, files)])
    return settings(**commands)


def owner_of(server):
    """The role whose server this role uses: its own, or the one that `same_as` names."""
    return config["models"].get(server, {}).get("same_as") or server


def section_of(server):
    """A server's config section."""
    if server in ("retriever", "web"):
        return config[server]
    return config["models"]["student" if server in STUDENTS else owner_of(server)]


def identity(server, sampling):
    """What decides a model's answers: part of a rule's settings."""
    section = section_of(server)
    facts = {key: section[key] for key in ("model", "revision", "dialect") if key in section}
    if section.get("serve") == "scripted":
        facts["revision"] += canonical_json(section["scripted"]) + code("searchtrain/demo/endpoint")
    return {**facts, "sampling": sampling}


def split_sampling(section):
    """A stage's section without its sampling, which belongs to the role that it asks."""
    return {key: value for key, value in section.items() if key != "sampling"}


def refining():
    """What decides what the refiner makes of a search, if there is one."""
    if not REFINER:
        return {}
    section = config["refine"]
    return {"refine": {**section, "model": identity("refiner", section["sampling"])}}


def searching():
    """What decides what the agent finds, but for the index, which is a file."""
    if SEARCH == "retriever":
        return {"search": {}}
    web = config["web"]
    facts = {key: web[key] for key in web if key not in (*RUNTIME, *SERVING)}
    facts["pages"] = {k: v for k, v in web["pages"].items() if k not in PAGES_RUNTIME}
    return {"search": {"web": facts}}


def indexing():
    """What decides the index; the encoder's folder is an input of its own."""
    section = config["retriever"]
    if not DENSE:
        return settings(**section["index"])
    embedder = {k: v for k, v in section["embedder"].items() if k not in ("model", "gpu")}
    return settings(**section["index"], embedder=embedder)


def encoder():
    """The folder of the encoder of dense retrieval, if the index is one of vectors."""
    model = config["retriever"]["embedder"]["model"]
    if DENSE and not model:
        raise WorkflowError(
            "configuration: retriever.embedder.model: missing; set it to the folder of an encoder,"
            " or retriever.index.engine to bm25"
        )
    return model if DENSE else []


def index_memory(wildcards):
    """Megabytes that building the index takes (measured: 3.3 times the corpus, for BM25)."""
    corpus = Path(config["data"]["corpus"])  # the laptop's is not there yet, and small
    return int(2000 + 5 * (corpus.stat().st_size / 1e6 if corpus.exists() else 0))


def encoder_options(wildcards, input, resources):
    """The command-line options of an index of vectors; how many GPUs makes nothing stale."""
    return ["--encoder", str(input.encoder), "--gpus", str(ENCODER_GPUS)] if DENSE else []


def runtime(*servers):
    """How servers are talked to: makes nothing stale."""

    def render(wildcards, resources):
        values = {}
        for server in servers:
            section = section_of(server)
            values[server] = {key: section[key] for key in RUNTIME if key in section}
            if TASK["teacher"] and server in list_writers(config):
                values[server]["only"] = TASK["teacher"]
            if TASK["teacher"] and server == "student":
                values[server]["only_checkpoint"] = True
            if server == "web":
                if not section["endpoint"]:
                    values[server]["api_key_env"] = ""
                values[server]["pages"] = {k: section["pages"][k] for k in PAGES_RUNTIME}
        return canonical_json(values)

    return render


def service_of(stage, server):
    """The endpoint file of a server that the workflow starts for one stage, or nothing."""
    section = section_of(server)
    if section.get("endpoint"):
        return []
    if section.get("serve", "by default") is None:
        place = server if server in config else f"models.{server}"
        raise WorkflowError(f"configuration: {place}: set endpoint to a URL, or serve")
    return f"<results>/.serve/{stage}-{owner_of(server)}.json"


def address(server, name=None):
    """Where a stage finds a server: the endpoint file among its inputs, or the configured URL.

    `name` is the input's, if it is not the server's.
    """

    def render(wildcards, input):
        return section_of(server).get("endpoint") or str(input[name or server])

    return render


def predicts(stage):
    """Whether a stage answers evaluation questions, so that the task keeps the teacher from it."""
    return stage.startswith(("predict", "untrained"))


def without_secrets(wildcards, resources):
    """What takes the keys of the task's teacher out of a prediction's environment."""
    secrets = list_secrets(config)
    return shlex.join(["unset", *secrets]) + " && " if secrets else ""


def refiner_of(stage):
    """The endpoint file of a stage's refiner, if it has one that the workflow starts."""
    return service_of(stage, "refiner") if REFINER else []


def shard_service(server):
    """The endpoint file of a server that a shard of the teacher's rollouts has for itself."""
    if config["trajectories"]["shards"] == 1:
        return service_of("trajectories", server)
    service_of("trajectories", server)  # a mistake in the config is told at once
    return lambda wildcards: service_of(f"trajectories{wildcards.shard}", server)


def refiner_options(wildcards, input):
    """The command-line options of a stage's refiner."""
    if not REFINER:
        return []
    where = config["models"]["refiner"]["endpoint"] or str(input.refiner)
    return ["--refiner", where, "--refine-prompt", str(input.refine_prompt)]


def task_options(wildcards, input):
    """The command-line options that let the task's constraints be checked on the training data."""
    if not input.questions:
        return []
    teacher = ["--teacher", TASK["teacher"]] if TASK["teacher"] else []
    return ["--questions", str(input.questions), *teacher, *["--trees"] * TREES]


def option(name, key):
    """A command-line option for an input that a rule may lack."""

    def render(wildcards, input):
        return [name, str(input[key])] if input[key] else []

    return render


def model_of(server):
    """The folder or name of the model that a server serves."""
    return STUDENTS.get(server, section_of(server).get("model", ""))


def served_files(wildcards):
    """What must exist before the server can start."""
    server = wildcards.server
    if server == "web" and DENSE:
        raise WorkflowError(
            "configuration: web.serve: the laptop's web needs retriever.index.engine: bm25"
        )
    if server in ("retriever", "web"):
        encoding = [encoder()] if server == "retriever" and DENSE else []
        return ["<shared>/index", "<shared>/corpus.jsonl", *encoding]
    return [model_of(server)] if server in STUDENTS else []


def served_identity(wildcards):
    """What decides the server's answers; a change reruns the stage that uses it."""
    server = wildcards.server
    if server == "retriever":
        fusion = config["retriever"]["fusion"]
        hybrid = config["retriever"]["index"]["engine"] == "hybrid"
        return settings(
            code=code("searchtrain/search/index"), **({"fusion": fusion} if hybrid else {})
        )
    if server == "web":
        return settings(rates=section_of(server)["scripted"], code=code("searchtrain/demo/web"))
    if section_of(server).get("serve") == "scripted":
        return settings(**identity(server, {}))
    args = section_of(server)["vllm"]["args"]
    return settings(model=model_of(server), args={k: v for k, v in args.items() if k not in TUNING})


def served_env(wildcards):
    """The conda environment of a server."""
    if wildcards.server == "retriever":
        return "../envs/retriever.yaml"
    scripted = section_of(wildcards.server).get("serve") == "scripted"
    return "../envs/workflow.yaml" if scripted else "../envs/vllm.yaml"


def launch_spec(wildcards, input, resources):
    """How the server is started: makes nothing stale."""
    server = wildcards.server
    section = section_of(server)
    hidden = dict.fromkeys(list_secrets(config) if predicts(wildcards.stage) else ())
    spec = {
        "port": section["port"],
        "ready_timeout": section["ready_timeout"],
        "gpus": section.get("gpu", 0),
        "env": {**section.get("vllm", {}).get("env", {}), **hidden},
    }
    if server == "retriever":
        args = {"encoder": input[2], "gpus": section["gpu"]} if DENSE else {}
        if section["index"]["engine"] == "hybrid":
            args["fusion"] = section["fusion"]
        return settings(serve="retriever", index=input[0], corpus=input[1], args=args, **spec)
    if section.get("serve") == "scripted":
        name = "laptop_web" if server == "web" else "scripted_teacher"
        spec["ledger"] = str(Path(config["cache"]) / f"{name}.ledger")
        spec["rates"] = section["scripted"]
        if server == "web":
            return settings(serve="web", index=input[0], corpus=input[1], **spec)
        return settings(serve="scripted", model=section["model"], **spec)
    model = str(input[0]) if input else section["model"]
    return settings(
        serve="vllm",
        model=model,
        served_model_name=section["model"],
        args=section["vllm"]["args"],
        **spec,
    )


def dataset_of(number, file="sft_dataset.json"):
    """What the SFT round `number` learns from; the first round's is the teacher's."""
    return f"<results>/{file}" if number == 1 else f"<results>/rounds/{number}/{file}"


def base_of(number):
    """The model that an SFT round starts from."""
    first = number == 1 or config["rounds"]["base"] == "first"
    return config["train"]["base"] if first else checkpoint_of(number - 1)


def recipe_of(number):
    """How an SFT round trains."""
    train = {k: v for k, v in config["train"].items() if k not in ("base", "gpu", "threads")}
    changes = config["rounds"]["args"] if number > 1 else {}
    return settings(**{**train, "args": {**train["args"], **changes}})


def student_before(wildcards):
    """The name under which the student of the round before is served."""
    return f"round{int(wildcards.round) - 1}"


def curated_until(wildcards):
    """The kept rollouts that a round learns from."""
    last = int(wildcards.round)
    earlier = range(2, last) if config["rounds"]["data"] == "all" else ()
    teacher = ["<results>/curated.parquet"] * (config["rounds"]["data"] == "all")
    return teacher + [f"<results>/rounds/{number}/curated.parquet" for number in (*earlier, last)]


def served_as(wildcards):
    """The server of another stage of the student's training."""
    return wildcards.student.replace("rounds/", "round")
