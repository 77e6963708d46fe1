"""Judge every rollout by the curation rules and keep the best of each question (rule curate)."""

import json
from pathlib import Path

from searchtrain.config.settings import parse_settings
from searchtrain.core import cli
from searchtrain.curation import choice
from searchtrain.data import schemas


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--trajectories", type=Path, required=True)
    parser.add_argument("--questions", type=Path, help="the questions, for rules on their trees")
    parser.add_argument("--shortcuts", type=Path, help="the judge's verdicts on shortcuts")
    parser.add_argument("--may-be-empty", action="store_true", help="keeping nothing is no error")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--verdicts", type=Path, required=True, help="one row per rollout and rule")
    parser.add_argument("--config", type=json.loads, required=True)
    parser.add_argument("--workers", type=int, default=1, help="processes that judge")
    args = cli.parse(parser)
    settings = parse_settings(choice.CurateSettings, args.config, "curate")
    trajectories = schemas.read_table(args.trajectories, schemas.Trajectories)
    questions = schemas.read_table(args.questions, schemas.Questions) if args.questions else None
    shortcuts = schemas.read_table(args.shortcuts, schemas.Shortcuts) if args.shortcuts else None
    curated, verdicts = choice.curate_rollouts(
        trajectories, settings, args.workers, questions, shortcuts, args.may_be_empty
    )
    schemas.write_table(curated, args.out, schemas.Curated)
    schemas.write_table(verdicts, args.verdicts, schemas.Verdicts)


if __name__ == "__main__":
    cli.run(main)
