"""Ask a model which right rollouts of tree questions are shortcuts (rule shortcuts)."""

import asyncio
import json
from pathlib import Path

from searchtrain import cli, files, schemas, shortcuts
from searchtrain.cache import RequestCache
from searchtrain.llm import open_model
from searchtrain.prompts import render_prompt


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--trajectories", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True, help="with the trees' levels")
    parser.add_argument("--prompt", type=Path, required=True)
    parser.add_argument("--judge", required=True, help="URL or endpoint file")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the request cache")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--config", type=json.loads, required=True)
    parser.add_argument("--runtime", type=json.loads, required=True)
    args = cli.parse(parser)
    trajectories = schemas.read_table(args.trajectories, schemas.Trajectories)
    questions = schemas.read_table(args.questions, schemas.Questions)
    rollouts = shortcuts.select_rollouts(trajectories, questions)
    system = render_prompt(args.prompt)
    cache = RequestCache(args.cache, "shortcuts")
    client = open_model("judge", args.judge, args.config["judge"], args.runtime["judge"], cache)
    frame = asyncio.run(shortcuts.judge_shortcuts(rollouts, system, client, args.config))
    report = shortcuts.make_report(frame, trajectories.height, client)
    schemas.write_table(frame, args.out, schemas.Shortcuts)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
