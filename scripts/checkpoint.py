"""Fine-tune the student with LLaMA-Factory (rule checkpoint)."""

import json
from pathlib import Path

from searchtrain.core import cli
from searchtrain.core.files import hash_file
from searchtrain.data.lineage import hash_model
from searchtrain.serving.gpu_lease import lease_gpus
from searchtrain.serving.model_folder import check_model_folder
from searchtrain.training import trainer
from searchtrain.training.recipe import check_lengths


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="sft_dataset.json")
    parser.add_argument("--info", type=Path, required=True, help="dataset_info.json")
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model")
    parser.add_argument(
        "--work",
        type=Path,
        required=True,
        help="folder of results: runs keep their state in .partial/train/",
    )
    parser.add_argument("--gpus", type=int, default=0, help="devices that training gets for itself")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=json.loads, required=True)
    args = cli.parse(parser)
    config = args.config
    check_model_folder(args.base, "train.base")
    lengths = check_lengths(
        args.dataset, args.base, config["args"]["cutoff_len"], config["max_cut_share"]
    )
    with lease_gpus(args.gpus, "train") as leased:
        env = {**config["env"], **leased.variables}
        work = args.work / ".partial/train"
        # The trainer's watchdog holds the devices, too: they are free when the trainer is gone.
        run_dir = trainer.train(args.dataset, args.info, args.base, work, config, env, leased.locks)
    facts = {
        "data": hash_file(args.dataset),
        "base": hash_model(args.base),
        "config": config,
        **lengths,
    }
    trainer.publish(run_dir, args.out, facts)


if __name__ == "__main__":
    cli.run(main)
