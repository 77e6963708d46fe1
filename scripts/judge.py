"""Ask a model whether the predicted answers are right (rule judge)."""

import asyncio

from searchtrain.agent import setup
from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.data import question_file, schemas
from searchtrain.evaluation import judge
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
    given = {"dev": args.dev, "test": args.test_answers, "benchmarks": args.benchmarks}
    known = {name: path for name, path in given.items() if path}
    read = {
        name: question_file.load_answers(path)
        if name == "test"
        else question_file.load_questions(path)
        for name, path in known.items()
    }
    names = {split: schemas.name_questions(split) for split in schemas.SPLITS}
    golds = {split: read[name] for split, name in names.items() if name in read}
    paths = {split: known[names[split]] for split in golds}
    rows = judge.select_answers(predictions, golds, paths)
    system, cache = render_prompt(args.prompt), RequestCache(config.cache, "judge")
    client = open_model(config, "judge", args.servers, config.judge.sampling, cache)
    frame, usage = asyncio.run(judge.judge_predictions(rows, system, client, config.judge))
    schemas.write_table(frame, args.out, schemas.Judgements)
    report = judge.make_report(frame, usage, client.role.model, client.role.revision)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
