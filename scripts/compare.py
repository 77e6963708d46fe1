"""Compare two folders of results on the questions that both answered: how far the second is ahead
of the first, with intervals of 95 %, and what differs in the conditions."""

from pathlib import Path

from searchtrain.core import cli, files
from searchtrain.evaluation import comparison


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument("a", type=Path, help="a folder with scores.parquet and metrics.json")
    parser.add_argument("b", type=Path, help="another, or the same with --splits")
    parser.add_argument(
        "--splits", nargs=2, metavar=("A", "B"),
        help="compare a split of a with one of b, as test_untrained and test; without: each split"
        " that both have",
    )  # fmt: skip
    parser.add_paths(required=False, out="comparison.json; without: in b, and comparison.md beside")
    args = parser.parse()
    report = comparison.compare_folders(
        args.a, args.b, {args.splits[0]: args.splits[1]} if args.splits else None
    )
    out = args.out or args.b / "comparison.json"
    text = comparison.format_comparison(report, [str(args.a), str(args.b)])
    print(text)
    files.write_json({"a": str(args.a), "b": str(args.b), "splits": report}, out)
    files.write_text(f"# Comparison\n\n```\n{text}\n```\n", out.with_suffix(".md"))


if __name__ == "__main__":
    cli.run(main)
