"""Score the predictions; write metrics.json, scores.parquet, the predictions listed, test.json
(rule metrics)."""

from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.config import Config
from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.data import question_file, schemas
from searchtrain.evaluation import metrics
from searchtrain.evaluation.benchmarks import read_benchmarks
from searchtrain.evaluation.conditions import adapt_limits, describe_conditions, describe_search
from searchtrain.evaluation.submission import make_submission


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("predictions", many=True)
    parser.add_paths("dev", "test", "metrics", "dev-predictions", out="test.json")
    parser.add_paths(
        required=False,
        test_answers="array of {id, golden_answers, type}",
        types="object {id: type}, for dev",
        benchmarks="question file of the benchmarks",
        judgements="judgements.parquet",
        judge_report="judge_report.json, for its cost",
        corpus="corpus.jsonl, for what was retrieved and not shown",
        index="of this corpus, which says what was searched",
        scores="scores.parquet: every prediction scored, for comparisons",
    )
    args = parser.parse()
    predictions = schemas.read_tables(args.predictions, schemas.Predictions)
    test = question_file.load_questions(args.test, answers=False)
    scores, listings, rows = metrics.make_metrics(
        predictions,
        question_file.load_questions(args.dev),
        test,
        question_file.load_answers(args.test_answers) if args.test_answers else None,
        question_file.load_types(args.types) if args.types else {},
        {
            "dev": args.dev,
            "test": args.test,
            "answers": args.test_answers,
            "benchmarks": args.benchmarks,
        },
        benchmarks=read_benchmarks(args.benchmarks) if args.benchmarks else None,
        judgements=(
            schemas.read_table(args.judgements, schemas.Judgements) if args.judgements else None
        ),
        corpus=args.corpus,
        describe=make_description(args.config, args.index),
    )
    if args.judge_report:
        scores["judge_cost"] = files.read_json(args.judge_report)["cost"]
    submission, scores["test_json"] = make_submission(
        predictions,
        test,
        question_file.load_ids(args.test),
        args.test,
        args.config.predict,
    )
    files.write_json(scores, args.metrics)
    files.write_json(listings["dev"], args.dev_predictions)
    if args.benchmarks:
        beside = args.metrics.with_name("benchmark_predictions.json")
        files.write_json(listings["benchmarks"], beside)
    if args.scores:
        schemas.write_table(rows, args.scores, schemas.Scores)
    files.write_json(submission, args.out)


def make_description(config: Config, index: Path | None) -> metrics.Describe:
    """How the conditions of a split are told."""
    search = describe_search(config, index)

    def describe(split: str, rows: pl.DataFrame) -> dict[str, Any]:
        limits = adapt_limits(config.predict.limits, split)
        return describe_conditions(search, limits, config.models.student.sampling, rows)

    return describe


if __name__ == "__main__":
    cli.run(main)
