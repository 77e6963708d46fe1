"""Ask a model whether the predicted answers are right (rule judge)."""

import asyncio

from searchtrain.agent import setup
from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.data import question_file, schemas
from searchtrain.evaluation import judge, metrics
from searchtrain.models.client import open_model
from searchtrain.models.prompts import render_prompt
from searchtrain.models.request_cache import RequestCache


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("predictions", many=True)
    parser.add_paths("dev", "prompt", "out", "report")
    parser.add_paths(
        required=False,
        test_answers="array of {id, golden_answers}",
        benchmarks="question file of the benchmarks",
    )
    setup.add_server_argument(parser)
    args = parser.parse()
    config = args.config
    predictions = schemas.read_tables(args.predictions, schemas.Predictions)
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
    system, cache = render_prompt(args.prompt), RequestCache(config.cache, "judge")
    client = open_model(config, "judge", args.servers, config.judge.sampling, cache)
    frame, usage = asyncio.run(judge.judge_predictions(rows, system, client, config.judge))
    schemas.write_table(frame, args.out, schemas.Judgements)
    report = judge.make_report(frame, usage, client.role.model, client.role.revision)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
