"""Make seeds of a question file: validated, de-duplicated, decontaminated (rule seeds)."""

from pathlib import Path

from searchtrain.config.command import add_config_argument
from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.data.question_file import load_questions
from searchtrain.questions.seeds import make_seeds


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True, help="counts and dropped rows, JSON")
    add_config_argument(parser)
    args = cli.parse(parser)
    held_out = {"dev": load_questions(args.dev), "test": load_questions(args.test, answers=False)}
    seeds, report = make_seeds(load_questions(args.train), held_out, args.config.seeds)
    schemas.write_table(seeds, args.out, schemas.Seeds)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
