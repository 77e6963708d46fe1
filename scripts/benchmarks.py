"""Turn published benchmark files into one question file (rule benchmarks)."""

from searchtrain.core import cli, files
from searchtrain.evaluation import benchmarks


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument("--names", nargs="+", required=True, help="benchmarks, as --files has them")
    parser.add_paths("files", many=True)
    parser.add_paths("report", out="benchmarks.json")
    args = parser.parse()
    if len(args.names) != len(args.files):
        parser.error(f"{len(args.names)} names for {len(args.files)} files")
    frame, report = benchmarks.load_benchmarks(dict(zip(args.names, args.files, strict=True)))
    files.write_json(benchmarks.make_rows(frame), args.out)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
