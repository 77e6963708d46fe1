"""Make seeds of a question file: validated, de-duplicated, decontaminated (rule seeds)."""

from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.data.question_file import read_questions
from searchtrain.questions.seeds import make_seeds


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("train", "dev", "test", "out", report="counts and dropped rows, JSON")
    args = parser.parse()
    settings, frames, blemishes = args.config.seeds, {}, {}
    for split in ("train", "dev", "test"):
        frames[split], blemishes[split] = read_questions(
            getattr(args, split), answers=split != "test", strict=settings.strict
        )
    seeds, report = make_seeds(frames.pop("train"), frames, settings)
    schemas.write_table(seeds, args.out, schemas.Seeds)
    files.write_json({"files": blemishes, **report}, args.report)


if __name__ == "__main__":
    cli.run(main)
