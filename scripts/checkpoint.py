"""Fine-tune the student with LLaMA-Factory (rule checkpoint)."""

from pathlib import Path

from searchtrain.config.config import add_config_argument
from searchtrain.config.rounds import plan_training, read_round
from searchtrain.core import cli
from searchtrain.core.files import hash_file
from searchtrain.data.lineage import hash_model
from searchtrain.serving import devices
from searchtrain.serving.model_folder import check_model_folder
from searchtrain.training import trainer


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="sft_dataset.json")
    parser.add_argument("--info", type=Path, required=True, help="dataset_info.json")
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--round", type=read_round, default=1, help="of SFT: rounds/2/ or 2")
    parser.add_argument(
        "--work",
        type=Path,
        required=True,
        help="folder of results: runs keep their state in .partial/train/",
    )
    parser.add_argument("--out", type=Path, required=True)
    add_config_argument(parser)
    args = cli.parse(parser)
    settings = plan_training(args.config, args.round)
    check_model_folder(args.base, "train.base")
    lengths = trainer.check_lengths(
        args.dataset, args.base, settings.args["cutoff_len"], settings.max_cut_share
    )
    with devices.lease(settings.gpu, "train") as leased:
        run_dir = trainer.train(
            args.dataset, args.info, args.base, args.work / ".partial/train", settings,
            trainer.make_environment(settings.env, leased.variables),
        )  # fmt: skip
    facts = {
        "data": hash_file(args.dataset),
        "base": hash_model(args.base),
        "config": settings.tracked(),
        **lengths,
    }
    trainer.publish(run_dir, args.out, facts)


if __name__ == "__main__":
    cli.run(main)
