"""Ask a model whether the predicted answers are right (rule judge)."""

import asyncio
import json
from pathlib import Path

import polars as pl

from searchtrain import cli, files, judge, metrics, questions, schemas
from searchtrain.cache import RequestCache
from searchtrain.llm import open_model
from searchtrain.prompts import render_prompt


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--predictions", type=Path, nargs="+", required=True)
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--test-answers", type=Path, help="array of {id, golden_answers}")
    parser.add_argument("--benchmarks", type=Path, help="question file of the benchmarks")
    parser.add_argument("--prompt", type=Path, required=True)
    parser.add_argument("--judge", required=True, help="URL or endpoint file")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the request cache")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--config", type=json.loads, required=True)
    parser.add_argument("--runtime", type=json.loads, required=True)
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
        split: questions.load_answers(path)
        if split in metrics.TEST_SPLITS
        else questions.load_questions(path)
        for split, path in paths.items()
    }
    rows = judge.select_answers(predictions, golds, paths)
    system = render_prompt(args.prompt)
    cache = RequestCache(args.cache, "judge")
    client = open_model("judge", args.judge, args.config["judge"], args.runtime["judge"], cache)
    frame, usage = asyncio.run(judge.judge_predictions(rows, system, client, args.config))
    schemas.write_table(frame, args.out, schemas.Judgements)
    report = judge.make_report(frame, usage, client.role.model, client.role.revision)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
