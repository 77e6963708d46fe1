"""Make seeds of a question file: validated, de-duplicated, decontaminated (rule seeds)."""

import json
from pathlib import Path

from searchtrain.config.settings import parse_settings
from searchtrain.core import cli, files
from searchtrain.data import question_file, schemas
from searchtrain.questions.seeds import SeedSettings, make_seeds


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True, help="counts and dropped rows, JSON")
    parser.add_argument("--config", type=json.loads, required=True)
    args = cli.parse(parser)
    settings = parse_settings(SeedSettings, args.config, "seeds")
    train = question_file.load_questions(args.train)
    held_out = {
        "dev": question_file.load_questions(args.dev),
        "test": question_file.load_questions(args.test, answers=False),
    }
    seeds, report = make_seeds(train, held_out, settings)
    schemas.write_table(seeds, args.out, schemas.Seeds)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
