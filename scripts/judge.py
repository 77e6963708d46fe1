"""Ask a model whether the predicted answers are right (rule judge)."""

import asyncio
from pathlib import Path

import polars as pl

from searchtrain.agent import setup
from searchtrain.core import cli, files
from searchtrain.data import question_file, schemas
from searchtrain.evaluation import judge, metrics


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--predictions", type=Path, nargs="+", required=True)
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--test-answers", type=Path, help="array of {id, golden_answers}")
    parser.add_argument("--benchmarks", type=Path, help="question file of the benchmarks")
    setup.add_judge_arguments(parser)
    args = cli.parse(parser)
    predictions = pl.concat(
        schemas.read_table(path, schemas.Predictions) for path in args.predictions
    )
    paths = {"dev": args.dev}
    if args.test_answers:
        paths |= dict.fromkeys(metrics.TEST_SPLITS, args.test_answers)
    if args.benchmarks:
        paths["benchmarks"] = args.benchmarks
    golds = {
        split: question_file.load_answers(path)
        if split in metrics.TEST_SPLITS
        else question_file.load_questions(path)
        for split, path in paths.items()
    }
    rows = judge.select_answers(predictions, golds, paths)
    system, client = setup.open_judge(args, "judge")
    frame, usage = asyncio.run(judge.judge_predictions(rows, system, client, args.config))
    schemas.write_table(frame, args.out, schemas.Judgements)
    report = judge.make_report(frame, usage, client.role.model, client.role.revision)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
