"""Ask a model which answers of rollouts that no rule takes for right mean a golden one
(rule equivalents)."""

import asyncio

from searchtrain.agent import setup
from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.curation import equivalents
from searchtrain.data import schemas
from searchtrain.models.client import open_model
from searchtrain.models.prompts import render_prompt
from searchtrain.models.request_cache import RequestCache


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("trajectories", "prompt", "out", "report")
    setup.add_server_argument(parser)
    args = parser.parse()
    config = args.config
    settings = config.curate.answers
    trajectories = schemas.read_table(args.trajectories, schemas.Trajectories)
    rollouts = equivalents.select_answers(trajectories, settings)
    system, cache = render_prompt(args.prompt), RequestCache(config.cache, "equivalents")
    client = open_model(config, "judge", args.servers, settings.sampling, cache)
    frame = asyncio.run(equivalents.judge_equivalents(rollouts, system, client, settings))
    report = equivalents.make_report(frame, trajectories.height, client)
    schemas.write_table(frame, args.out, schemas.Equivalents)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
