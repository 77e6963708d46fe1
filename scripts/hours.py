"""Planned and spent hours of every stage, side by side (rule hours)."""

from searchtrain.core import cli, files
from searchtrain.core.text_table import format_table
from searchtrain.task import ledger, timings


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_paths(
        plan="plan.json", timings="folder of <rule>.tsv", out="hours.json", text="hours.md"
    )
    parser.add_paths(results="folder of the run: what it left out stands in its ledger")
    args = parser.parse()
    rows = timings.compare_hours(files.read_json(args.plan), timings.read_timings(args.timings))
    kept = ledger.Ledger.of(args.results, args.timings)
    said = ledger.list_said(kept.list_allowances())
    text = "\n".join([format_table(rows), *[""] * bool(said), *said])
    cli.logger.info("the last run of each rule:\n%s", text)
    files.write_json({"stages": rows, "said": said}, args.out)
    files.write_text(
        "# Hours planned and spent\n\nSpent is what the last run of each rule took.\n\n"
        f"```\n{text}\n```\n",
        args.text,
    )


if __name__ == "__main__":
    cli.run(main)
