"""Make seeds of a question file: validated, de-duplicated, decontaminated (rule seeds)."""

from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.data.question_file import load_questions
from searchtrain.questions.seeds import make_seeds


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("train", "dev", "test", "out", report="counts and dropped rows, JSON")
    args = parser.parse()
    held_out = {"dev": load_questions(args.dev), "test": load_questions(args.test, answers=False)}
    seeds, report = make_seeds(load_questions(args.train), held_out, args.config.seeds)
    schemas.write_table(seeds, args.out, schemas.Seeds)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
