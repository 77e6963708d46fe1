"""Join the shards' rollouts into one table (rule shards)."""

from pathlib import Path

from searchtrain.agent import shards
from searchtrain.core import cli, files
from searchtrain.data import schemas


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--tables", type=Path, nargs="+", required=True)
    parser.add_argument("--reports", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    args = cli.parse(parser)
    questions = schemas.read_table(args.questions, schemas.Questions)
    tables = [schemas.read_table(path, schemas.Trajectories) for path in args.tables]
    joined = shards.join_shards(questions, tables)
    schemas.write_table(joined, args.out, schemas.Trajectories)
    files.write_json(shards.add_reports([files.read_json(p) for p in args.reports]), args.report)


if __name__ == "__main__":
    cli.run(main)
