"""Turn published benchmark files into one question file (rule benchmarks)."""

from pathlib import Path

from searchtrain.core import cli, files
from searchtrain.evaluation import benchmarks


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--names", nargs="+", required=True, help="benchmarks, as --files has them")
    parser.add_argument("--files", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True, help="benchmarks.json")
    parser.add_argument("--report", type=Path, required=True)
    args = cli.parse(parser)
    if len(args.names) != len(args.files):
        parser.error(f"{len(args.names)} names for {len(args.files)} files")
    frame, report = benchmarks.load_benchmarks(dict(zip(args.names, args.files, strict=True)))
    files.write_json(benchmarks.make_rows(frame), args.out)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
