"""Fine-tune the student with LLaMA-Factory (rule checkpoint)."""

from searchtrain.config.command import Parser
from searchtrain.config.rounds import (
    find_candidate,
    limit_epochs,
    name_candidate,
    plan_training,
    read_round,
)
from searchtrain.core import cli
from searchtrain.core.files import hash_file, read_json
from searchtrain.data.lineage import hash_model
from searchtrain.models.role import make_role
from searchtrain.serving.gpu_lease import lease_gpus
from searchtrain.serving.model_folder import check_model_folder
from searchtrain.training import parity, trainer
from searchtrain.training.progress import show_progress
from searchtrain.training.recipe import check_lengths, keeps_order, order_rows, render_recipe
from searchtrain.training.served import read_options


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths(
        dataset="sft_dataset.json", info="dataset_info.json", base="folder of the base model"
    )
    parser.add_argument("--round", type=read_round, default=1, help="of SFT: rounds/2/ or 2")
    parser.add_paths("out", work="folder of results: runs keep their state in .partial/train/")
    parser.add_argument("--place", default="", help="of the student: a candidate's trials/<name>/")
    parser.add_paths(required=False, allowance="what a run that may be late leaves of it")
    args = parser.parse()
    settings = plan_training(args.config, args.round, args.place)
    allowed = read_json(args.allowance) if args.allowance else {"left_out": []}
    if name_candidate(args.place) in allowed["left_out"]:
        trainer.leave_out(args.base, args.out)
        return
    settings = limit_epochs(settings, allowed.get("most_epochs"))
    candidate = find_candidate(args.config, args.place)
    preference = bool(candidate and candidate.preference)
    check_model_folder(args.base, "train.base")
    student = args.config.models.student
    options = read_options(make_role(args.config, "student", student.sampling), student.format)
    served = options if settings.tokens == "served" else None
    recipe = render_recipe(settings.args, args.base, args.dataset, preference)

    def check() -> dict[str, int]:
        lengths = parity.check_tokens(args.dataset, args.info, recipe, options, served)
        check_lengths(lengths, args.dataset, settings)
        return lengths

    lengths = {"pairs": len(read_json(args.dataset))} if preference else None
    if not preference and keeps_order(settings):
        lengths = check()
        settings = order_rows(settings, lengths)
    work = args.work / ".partial/train"
    with (
        # The trainer's watchdog holds the devices, too: they are free when the trainer is gone.
        lease_gpus(settings.gpu, "train") as leased,
        show_progress(work),
        trainer.start(
            args.dataset,
            args.info,
            args.base,
            work,
            settings,
            leased,
            served,
            preference=preference,
        ) as training,
    ):
        # While the trainer starts, which takes as long: a difference ends it before it learns.
        lengths = lengths or check()
        training.wait()
    facts = {
        "data": hash_file(args.dataset),
        "base": hash_model(args.base),
        "config": settings.tracked(),
        "run": training.folder.name,
        **lengths,
    }
    trainer.publish(training.folder, args.out, facts)


if __name__ == "__main__":
    cli.run(main)
