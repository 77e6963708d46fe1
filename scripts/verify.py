"""Keep the tree questions that are hard and have one answer (rule verify)."""

import asyncio
import json
from pathlib import Path

from searchtrain.agent import setup
from searchtrain.config.settings import parse_settings
from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.models.client import open_model
from searchtrain.models.prompts import render_prompt
from searchtrain.models.request_cache import RequestCache
from searchtrain.trees import verification
from searchtrain.trees.pages import PageStore
from searchtrain.trees.statistics import describe_trees


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--trees", type=Path, required=True, help="trees with their questions")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--search", required=True, help="URL or endpoint file of the retriever")
    parser.add_argument("--solve-prompt", type=Path, required=True)
    parser.add_argument("--verify-prompt", type=Path, required=True)
    parser.add_argument("--solver", required=True, help="URL or endpoint file")
    parser.add_argument("--verifier", required=True, help="URL or endpoint file")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the request cache")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True, help="benchmark file to write")
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--config", type=json.loads, required=True)
    parser.add_argument("--runtime", type=json.loads, required=True)
    args = cli.parse(parser)
    config, runtime = args.config, args.runtime
    own = {key: config[key] for key in config if key not in ("solver", "verifier", "search")}
    settings = parse_settings(verification.VerifySettings, own, "verify")
    trees = schemas.read_table(args.trees, schemas.WrittenTrees)
    pages = PageStore(args.corpus)
    cache = RequestCache(args.cache, "verify")
    panel = verification.Panel(
        open_model("solver", args.solver, config["solver"], runtime["solver"], cache),
        render_prompt(args.solve_prompt),
        open_model("verifier", args.verifier, config["verifier"], runtime["verifier"], cache),
        render_prompt(args.verify_prompt),
        setup.open_search(args.search, config, runtime, "verify"),
    )
    frame = asyncio.run(verification.verify_trees(trees, pages, panel, settings))
    report = verification.make_report(frame, panel, describe_trees(verification.select_open(frame)))
    schemas.write_table(frame, args.out, schemas.TreeQuestions)
    files.write_json(verification.list_held_out(frame), args.held_out)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
