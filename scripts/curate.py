"""Judge every rollout by the curation rules and keep the best of each question (rule curate)."""

from searchtrain.config.command import Parser
from searchtrain.config.rounds import read_round
from searchtrain.core import cli
from searchtrain.curation import choice
from searchtrain.data import schemas


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("trajectories", "out", verdicts="one row per rollout and rule")
    parser.add_argument("--round", type=read_round, default=1, help="of SFT: rounds/2/ or 2")
    parser.add_paths(
        required=False,
        questions="the questions, for rules on their trees",
        shortcuts="the judge's verdicts on shortcuts",
        equivalents="its verdicts on answers that no rule takes for right",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that judge")
    args = parser.parse()
    # A student may be too weak to add anything to what earlier rounds have.
    may_be_empty = args.round > 1 and args.config.rounds.data == "all"
    trajectories = schemas.read_table(args.trajectories, schemas.Trajectories)
    questions = schemas.read_table(args.questions, schemas.Questions) if args.questions else None
    shortcuts = schemas.read_table(args.shortcuts, schemas.Shortcuts) if args.shortcuts else None
    equivalents = (
        schemas.read_table(args.equivalents, schemas.Equivalents) if args.equivalents else None
    )
    curated, verdicts = choice.curate_rollouts(
        trajectories,
        args.config.curate,
        args.workers,
        questions,
        shortcuts,
        may_be_empty,
        equivalents=equivalents,
        clean=args.config.predict.clean,
    )
    schemas.write_table(curated, args.out, schemas.Curated)
    schemas.write_table(verdicts, args.verdicts, schemas.Verdicts)


if __name__ == "__main__":
    cli.run(main)
