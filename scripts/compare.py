"""Compare folders of results: how many rows each step left and what it cost, which settings differ,
and how far each run is ahead of the first on the questions that both answered, with intervals of
95 % by the paired bootstrap."""

from pathlib import Path
from typing import Any

from searchtrain.core import cli, files
from searchtrain.evaluation import runs

SPLITS = "compare a split of the first with one of the second, as test_untrained and test"


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="two or more (one with --splits)")
    parser.add_argument("--splits", nargs=2, metavar=("A", "B"), help=SPLITS)
    parser.add_paths(required=False, json="write all figures to this file",
                     markdown="write the text to this file")  # fmt: skip
    args = parser.parse()
    splits: dict[str, Any] | None = {args.splits[0]: args.splits[1]} if args.splits else None
    report = runs.compare_runs(args.folders, splits)
    text = runs.format_runs(report)
    cli.show(text)
    if args.json:
        files.write_json(report, args.json)
    if args.markdown:
        files.write_text(f"# Comparison\n\n```\n{text}\n```\n", args.markdown)


if __name__ == "__main__":
    cli.run(main)
