"""Ask a model which right rollouts of tree questions are shortcuts (rule shortcuts)."""

import asyncio
from pathlib import Path

from searchtrain.agent import setup
from searchtrain.core import cli, files
from searchtrain.curation import shortcuts
from searchtrain.data import schemas


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--trajectories", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True, help="with the trees' levels")
    setup.add_judge_arguments(parser)
    args = cli.parse(parser)
    trajectories = schemas.read_table(args.trajectories, schemas.Trajectories)
    questions = schemas.read_table(args.questions, schemas.Questions)
    rollouts = shortcuts.select_rollouts(trajectories, questions)
    system, client = setup.open_judge(args, "shortcuts")
    frame = asyncio.run(shortcuts.judge_shortcuts(rollouts, system, client, args.config))
    report = shortcuts.make_report(frame, trajectories.height, client)
    schemas.write_table(frame, args.out, schemas.Shortcuts)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
