"""Join the sources of questions to roll out: seeds, and research trees (rule questions)."""

from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.data.question_file import load_questions
from searchtrain.questions import seeds


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("sampled", "dev", "test", "out", "report")
    parser.add_paths(required=False, trees="tree_questions.parquet")
    args = parser.parse()
    frame, report = seeds.join_sources(
        schemas.read_table(args.sampled, schemas.Sampled),
        schemas.read_table(args.trees, schemas.TreeQuestions) if args.trees else None,
        {"dev": load_questions(args.dev), "test": load_questions(args.test, answers=False)},
        args.config.seeds,
        args.config.trees.train_questions,
    )
    counts = frame["origin"].value_counts(sort=True).rows()
    cli.logger.info(
        "%d questions: %s", frame.height, ", ".join(f"{n} from {k}s" for k, n in counts)
    )
    schemas.write_table(frame, args.out, schemas.Questions)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
