"""Choose questions of many domains and key points (rule sample)."""

from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.questions import sampling


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("tagged", "out")
    parser.add_paths(required=False, report="JSON of the counts before and after")
    args = parser.parse()
    settings = args.config.sample
    tagged = schemas.read_table(args.tagged, schemas.Tagged)
    sampled = sampling.sample_questions(tagged, settings)
    if args.report:
        files.write_json(sampling.describe_sampling(tagged, sampled, settings), args.report)
    schemas.write_table(sampled, args.out, schemas.Sampled)


if __name__ == "__main__":
    cli.run(main)
