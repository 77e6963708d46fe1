"""Train the student further by GRPO on rollouts of its own (rule grpo).

Started by `torchrun` or `accelerate launch`, its processes share the rollouts of every step.
"""

import json
import os
from importlib import metadata
from pathlib import Path

import polars as pl

from searchtrain.agent import setup
from searchtrain.config.settings import parse_settings
from searchtrain.core import cli
from searchtrain.core.files import digest, hash_file
from searchtrain.data import schemas
from searchtrain.data.lineage import hash_model, list_versions
from searchtrain.models.request_cache import RequestCache
from searchtrain.report.training_chart import draw_history
from searchtrain.rl.history import write_history
from searchtrain.rl.trainer import GrpoSettings, Trainer, write_loss
from searchtrain.serving import devices
from searchtrain.training.trainer import publish

STAGE = ("limits", "search", "refine")
"""Parts of --config that are not GrpoSettings."""


QUESTIONS = (schemas.Questions, schemas.Sampled, schemas.Seeds)
"""Tables with what a rollout needs to know of a question."""


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder of the SFT model")
    parser.add_argument("--questions", type=Path, required=True, help="table of questions")
    setup.add_agent_arguments(parser)
    parser.add_argument(
        "--work",
        type=Path,
        required=True,
        help="folder of results: runs keep their state in .partial/grpo/",
    )
    parser.add_argument("--gpus", type=int, default=0, help="devices that training gets for itself")
    parser.add_argument("--out", type=Path, required=True, help="folder of the trained model")
    parser.add_argument("--history", type=Path, required=True, help="history.jsonl to write")
    parser.add_argument("--picture", type=Path, required=True, help="PNG of the history to write")
    parser.add_argument("--config", type=json.loads, required=True)
    parser.add_argument("--runtime", type=json.loads, required=True)
    args = cli.parse(parser)
    config, runtime = args.config, args.runtime
    values = {key: value for key, value in config.items() if key not in STAGE}
    settings = parse_settings(GrpoSettings, values, "grpo")
    questions = read_questions(args.questions)
    writer = "grpo" + os.environ.get("RANK", "")
    harness = setup.open_harness(args, config, runtime, RequestCache(args.cache, writer))
    search = setup.open_search(args.search, config, runtime, writer)
    facts = {
        "data": hash_file(args.questions),
        "base": hash_model(args.checkpoint),
        "prompt": harness.prompt_digest,
        "config": config,
        "trl": metadata.version("trl"),
    }
    folder = args.work / ".partial/grpo" / digest([facts, list_versions()])[:16]
    # A launcher of several processes has taken the devices for all of them.
    gpus = 0 if "LOCAL_RANK" in os.environ else args.gpus
    with devices.lease(gpus, "grpo") as leased:
        os.environ.update(leased.variables)  # read when the first tensor reaches a GPU
        trainer = Trainer(args.checkpoint, questions, harness, search, settings, folder)
        history = trainer.train()
        model = folder / "model"
        trainer.save(model)
    if not trainer.leads:
        return
    write_loss(history, model / "trainer_log.jsonl")
    publish(model, args.out, facts)
    write_history(history, args.history)
    draw_history(history, args.picture)


def read_questions(path: Path) -> pl.DataFrame:
    """Read any table of questions; raises InputError as `schemas.read_table` does."""
    try:
        columns = list(pl.read_parquet_schema(path))
    except (OSError, pl.exceptions.ComputeError):
        columns = []  # what is wrong with it, reading it says
    fitting = (table for table in QUESTIONS if schemas.empty_table(table).columns == columns)
    return schemas.read_table(path, next(fitting, schemas.Seeds))


if __name__ == "__main__":
    cli.run(main)
