"""Compare the task's submissions on dev (rule submissions)."""

import json
import logging
from pathlib import Path

from searchtrain.config.command import add_config_argument
from searchtrain.core import cli, files
from searchtrain.task import submissions

logger = logging.getLogger("submissions")


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--commands", type=json.loads, required=True, help="{name: command}")
    parser.add_argument("--out", type=Path, required=True, help="submissions.json")
    parser.add_argument("--text", type=Path, required=True, help="submissions.md")
    add_config_argument(parser)
    args = cli.parse(parser)
    report = submissions.compare_submissions(args.config.task.submissions, args.commands)
    text = submissions.format_submissions(report)
    logger.info("submissions:\n%s", text)
    files.write_json(report, args.out)
    with files.replace_file(args.text) as partial:
        partial.write_text(f"# Submissions\n\n```\n{text}\n```\n", encoding="utf-8")


if __name__ == "__main__":
    cli.run(main)
