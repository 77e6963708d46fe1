"""Take the candidate that is best on dev as the student (rule choice)."""

from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.data.question_file import load_questions
from searchtrain.evaluation.trials import choose_candidate, format_trials
from searchtrain.serving.model_folder import link_model_folder


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--names", nargs="+", required=True, help="of the candidates")
    parser.add_paths("checkpoints", "predictions", many=True)
    parser.add_paths("dev", "out", report="trials.json", text="trials.md")
    args = parser.parse()
    tables = [schemas.read_table(file, schemas.Predictions) for file in args.predictions]
    predictions = dict(zip(args.names, tables, strict=True))
    report = choose_candidate(predictions, load_questions(args.dev), args.dev)
    text = format_trials(report)
    cli.logger.info("the best on dev is %s:\n%s", report["best"], text)
    best = args.checkpoints[args.names.index(report["best"])]
    with files.replace_folder(args.out) as partial:
        link_model_folder(best, partial)
        manifest = files.read_json(best / "manifest.json")
        files.write_json({**manifest, "trials": report}, partial / "manifest.json")
    files.write_json(report, args.report)
    files.write_text(f"# Trials\n\n```\n{text}\n```\n", args.text)


if __name__ == "__main__":
    cli.run(main)
