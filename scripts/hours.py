"""Planned and spent hours of every stage, side by side (rule hours)."""

import logging
from pathlib import Path

from searchtrain.core import cli, files
from searchtrain.core.text_table import format_table
from searchtrain.task import timings

logger = logging.getLogger("hours")


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="plan.json")
    parser.add_argument("--timings", type=Path, required=True, help="folder of <rule>.tsv")
    parser.add_argument("--out", type=Path, required=True, help="hours.json")
    parser.add_argument("--text", type=Path, required=True, help="hours.md")
    args = cli.parse(parser)
    rows = timings.compare_hours(files.read_json(args.plan), timings.read_timings(args.timings))
    text = format_table(rows)
    logger.info("the last run of each rule:\n%s", text)
    files.write_json(rows, args.out)
    with files.replace_file(args.text) as partial:
        partial.write_text(
            "# Hours planned and spent\n\nSpent is what the last run of each rule took.\n\n"
            f"```\n{text}\n```\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    cli.run(main)
