"""Train the student further by GRPO on rollouts of its own (rule grpo).

Started by `torchrun` or `accelerate launch`, its processes share the rollouts of every step.
"""

import json
import os
from importlib import metadata
from pathlib import Path

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

STAGE = ("limits", "search", "refine")
"""Parts of --config that are not GrpoSettings."""


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder of the SFT model")
    parser.add_argument("--questions", type=Path, required=True, help="questions.parquet")
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
    questions = schemas.read_table(args.questions, schemas.Questions)
    writer = "grpo" + os.environ.get("RANK", "")
    policy = setup.open_policy(args, None, config, runtime, RequestCache(args.cache, writer))
    search = setup.open_search(args.search, config, runtime, writer)
    facts = {
        "data": hash_file(args.questions),
        "base": hash_model(args.checkpoint),
        "prompt": policy.prompt_digest,
        "config": config,
        "trl": metadata.version("trl"),
    }
    folder = args.work / ".partial/grpo" / digest([facts, list_versions()])[:16]
    # A launcher of several processes has taken the devices for all of them.
    gpus = 0 if "LOCAL_RANK" in os.environ else args.gpus
    with devices.lease(gpus, "grpo") as leased:
        os.environ.update(leased.variables)  # read when the first tensor reaches a GPU
        trainer = Trainer(args.checkpoint, questions, policy, search, settings, folder)
        history = trainer.train()
        model = folder / "model"
        trainer.save(model)
    if not trainer.leads:
        return
    write_loss(history, model / "trainer_log.jsonl")
    trainer.publish(model, args.out, facts)
    write_history(history, args.history)
    draw_history(history, args.picture)


if __name__ == "__main__":
    cli.run(main)
