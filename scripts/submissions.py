"""Compare the task's submissions on dev (rule submissions)."""

import json

from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.task import submissions


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--commands", type=json.loads, required=True, help="{name: command}")
    parser.add_paths(out="submissions.json", text="submissions.md")
    args = parser.parse()
    report = submissions.compare_submissions(args.config.task.submissions, args.commands)
    text = submissions.format_submissions(report)
    best = " and ".join(report["best"])
    cli.logger.info("the best submission on dev is %s:\n%s", best, text)
    files.write_json(report, args.out)
    files.write_text(f"# Submissions\n\n```\n{text}\n```\n", args.text)


if __name__ == "__main__":
    cli.run(main)
