"""Ask a model which right rollouts of tree questions are shortcuts (rule shortcuts)."""

import asyncio

from searchtrain.agent import setup
from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.curation import shortcuts
from searchtrain.data import schemas
from searchtrain.models.client import open_model
from searchtrain.models.prompts import render_prompt
from searchtrain.models.request_cache import RequestCache


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("trajectories", "prompt", "out", "report", questions="with the trees' levels")
    setup.add_server_argument(parser)
    args = parser.parse()
    config = args.config
    trajectories = schemas.read_table(args.trajectories, schemas.Trajectories)
    questions = schemas.read_table(args.questions, schemas.Questions)
    rollouts = shortcuts.select_rollouts(trajectories, questions)
    system, cache = render_prompt(args.prompt), RequestCache(config.cache, "shortcuts")
    client = open_model(config, "judge", args.servers, config.shortcuts.sampling, cache)
    frame = asyncio.run(shortcuts.judge_shortcuts(rollouts, system, client, config.shortcuts))
    report = shortcuts.make_report(frame, trajectories.height, client)
    schemas.write_table(frame, args.out, schemas.Shortcuts)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
