"""Choose questions of many domains and key points (rule sample)."""

from pathlib import Path

from searchtrain.config.command import add_config_argument
from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.questions import sampling
from searchtrain.report import charts


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--tagged", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--picture", type=Path, help="PNG of the labels before and after")
    parser.add_argument("--report", type=Path, help="JSON of the counts before and after")
    add_config_argument(parser)
    args = cli.parse(parser)
    settings = args.config.sample
    tagged = schemas.read_table(args.tagged, schemas.Tagged)
    sampled = sampling.sample_questions(tagged, settings)
    if args.picture:
        charts.draw_sampling(tagged, sampled, args.picture)
    if args.report:
        files.write_json(sampling.describe_sampling(tagged, sampled, settings), args.report)
    schemas.write_table(sampled, args.out, schemas.Sampled)


if __name__ == "__main__":
    cli.run(main)
