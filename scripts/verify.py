"""Keep the tree questions that are hard and have one answer (rule verify)."""

import asyncio

from searchtrain.agent import setup
from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.models.client import open_model
from searchtrain.models.prompts import render_prompt
from searchtrain.models.request_cache import RequestCache
from searchtrain.trees import verification
from searchtrain.trees.pages import PageStore
from searchtrain.trees.statistics import describe_trees


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("corpus", "solve-prompt", "verify-prompt", trees="trees with their questions")
    parser.add_paths("out", "report", held_out="benchmark file to write")
    setup.add_server_argument(parser)
    args = parser.parse()
    config, sampling = args.config, args.config.verify.sampling
    trees = schemas.read_table(args.trees, schemas.WrittenTrees)
    pages = PageStore(args.corpus)
    cache = RequestCache(config.cache, "verify")
    panel = verification.Panel(
        open_model(config, "solver", args.servers, sampling.solver, cache),
        render_prompt(args.solve_prompt),
        open_model(config, "verifier", args.servers, sampling.verifier, cache),
        render_prompt(args.verify_prompt),
        setup.open_search(config, args.servers, "verify", "retriever"),
    )
    frame = asyncio.run(verification.verify_trees(trees, pages, panel, config.verify))
    report = verification.make_report(frame, panel, describe_trees(verification.select_open(frame)))
    schemas.write_table(frame, args.out, schemas.TreeQuestions)
    files.write_json(verification.list_held_out(frame), args.held_out)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
