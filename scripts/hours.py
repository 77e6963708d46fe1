"""Planned and spent hours of every stage, side by side (rule hours)."""

from searchtrain.core import cli, files
from searchtrain.core.text_table import format_table
from searchtrain.task import timings


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_paths(
        plan="plan.json", timings="folder of <rule>.tsv", out="hours.json", text="hours.md"
    )
    args = parser.parse()
    rows = timings.compare_hours(files.read_json(args.plan), timings.read_timings(args.timings))
    text = format_table(rows)
    cli.logger.info("the last run of each rule:\n%s", text)
    files.write_json(rows, args.out)
    files.write_text(
        "# Hours planned and spent\n\nSpent is what the last run of each rule took.\n\n"
        f"```\n{text}\n```\n",
        args.text,
    )


if __name__ == "__main__":
    cli.run(main)
