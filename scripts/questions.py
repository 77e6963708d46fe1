"""Join the sources of questions to roll out: seeds, and research trees (rule questions)."""

import json
from pathlib import Path

from searchtrain.config.settings import parse_settings
from searchtrain.core import cli, files
from searchtrain.data import question_file, schemas
from searchtrain.questions import seeds


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--sampled", type=Path, required=True)
    parser.add_argument("--trees", type=Path, help="tree_questions.parquet")
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--config", type=json.loads, required=True, help="`seeds` as JSON")
    parser.add_argument("--most-trees", type=int, help="tree questions at most; left out: all")
    args = cli.parse(parser)
    frame, report = seeds.join_sources(
        schemas.read_table(args.sampled, schemas.Sampled),
        schemas.read_table(args.trees, schemas.TreeQuestions) if args.trees else None,
        {
            "dev": question_file.load_questions(args.dev),
            "test": question_file.load_questions(args.test, answers=False),
        },
        parse_settings(seeds.SeedSettings, args.config, "seeds"),
        args.most_trees,
    )
    schemas.write_table(frame, args.out, schemas.Questions)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
