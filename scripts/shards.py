"""Join the shards' rollouts into one table (rule shards)."""

from searchtrain.agent import shards
from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.questions import seeds


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_paths("questions", "out", "report")
    parser.add_paths("tables", "reports", many=True)
    parser.add_argument("--draw", type=int, help="a pilot: so many of the questions")
    parser.add_argument("--seed", type=int, default=1, help="of that draw")
    args = parser.parse()
    frame = schemas.read_table(args.questions, schemas.Questions)
    questions = seeds.draw_questions(frame, args.draw, args.seed)
    tables = [schemas.read_table(path, schemas.Trajectories) for path in args.tables]
    joined = shards.join_shards(questions, tables)
    schemas.write_table(joined, args.out, schemas.Trajectories)
    files.write_json(shards.add_reports([files.read_json(p) for p in args.reports]), args.report)


if __name__ == "__main__":
    cli.run(main)
