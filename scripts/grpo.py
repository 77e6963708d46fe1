"""Train the student further by GRPO on rollouts of its own (rule grpo).

Started by `torchrun` or `accelerate launch`, its processes share the rollouts of every step.
"""

import os
from importlib import metadata

from searchtrain.agent import setup
from searchtrain.config import check_grpo
from searchtrain.config.command import Parser
from searchtrain.core import cli
from searchtrain.core.files import digest, hash_file, write_jsonl
from searchtrain.data import schemas
from searchtrain.data.lineage import hash_model, list_versions
from searchtrain.models.request_cache import RequestCache
from searchtrain.models.role import make_role
from searchtrain.rl.trainer import Trainer, write_loss
from searchtrain.serving.gpu_lease import lease_gpus
from searchtrain.training import trainer as sft


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths(checkpoint="folder of the SFT model", questions="questions.parquet")
    setup.add_agent_arguments(parser)
    parser.add_paths(
        work="folder of results: runs keep their state in .partial/grpo/",
        out="folder of the trained model",
        history="history.jsonl to write",
    )
    args = parser.parse()
    config, settings = args.config, args.config.grpo
    check_grpo(config)
    questions = schemas.read_table(args.questions, schemas.Questions)
    writer = "grpo" + os.environ.get("RANK", "")
    cache = RequestCache(config.cache, writer)
    role = make_role(config, "student", config.models.student.sampling)
    harness = setup.open_harness(config, role, config.predict.limits, args, cache)
    search = setup.open_search(config, args.servers, writer)
    facts = {
        "data": hash_file(args.questions),
        "base": hash_model(args.checkpoint),
        "prompt": harness.prompt_digest,
        "config": settings.tracked(),
        "limits": config.predict.limits.tracked(),
        "trl": metadata.version("trl"),
    }
    folder = args.work / ".partial/grpo" / digest([facts, list_versions()])[:16]
    # A launcher of several processes has taken the devices for all of them.
    gpus = 0 if "LOCAL_RANK" in os.environ else settings.gpu
    with lease_gpus(gpus, "grpo") as leased:
        os.environ.update(leased.variables)  # read when the first tensor reaches a GPU
        trainer = Trainer(args.checkpoint, questions, harness, search, settings, folder)
        history = trainer.train()
        model = folder / "model"
        trainer.save(model)
    if not trainer.leads:
        return
    write_loss(history, model / "trainer_log.jsonl")
    sft.publish(model, args.out, facts)
    write_jsonl(history, args.history)


if __name__ == "__main__":
    cli.run(main)
