"""Join the sources of questions to roll out: seeds, and research trees (rule questions)."""

from pathlib import Path

from searchtrain.config.command import add_config_argument
from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.data.question_file import load_questions
from searchtrain.questions import seeds


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--sampled", type=Path, required=True)
    parser.add_argument("--trees", type=Path, help="tree_questions.parquet")
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    add_config_argument(parser)
    args = cli.parse(parser)
    frame, report = seeds.join_sources(
        schemas.read_table(args.sampled, schemas.Sampled),
        schemas.read_table(args.trees, schemas.TreeQuestions) if args.trees else None,
        {"dev": load_questions(args.dev), "test": load_questions(args.test, answers=False)},
        args.config.seeds,
        args.config.trees.train_questions,
    )
    schemas.write_table(frame, args.out, schemas.Questions)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
