"""Turn finished research trees into questions (rule written_trees)."""

import asyncio
from pathlib import Path

from searchtrain.agent import setup
from searchtrain.config.command import add_config_argument
from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.models.asker import Asker
from searchtrain.models.client import open_model
from searchtrain.models.prompts import render_prompt
from searchtrain.models.request_cache import RequestCache
from searchtrain.trees import writing
from searchtrain.trees.pages import PageStore
from searchtrain.trees.statistics import make_infoseek_rows


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--trees", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--prompt", type=Path, required=True)
    setup.add_server_argument(parser)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--infoseek", type=Path, help="also write them as InfoSeek's JSON Lines")
    parser.add_argument("--report", type=Path, required=True)
    add_config_argument(parser)
    args = cli.parse(parser)
    config = args.config
    trees = schemas.read_table(args.trees, schemas.Trees)
    pages = PageStore(args.corpus)
    cache = RequestCache(config.cache, "written_trees")
    writer = Asker(
        open_model(config, "writer", args.servers, config.trees.sampling.writer, cache),
        render_prompt(args.prompt),
        writing.QUESTION_SCHEMA,
        writing.MAX_REPLY_CHARS,
    )
    frame, report = asyncio.run(writing.write_questions(trees, writer, pages, config.trees))
    schemas.write_table(frame, args.out, schemas.WrittenTrees)
    if args.infoseek:
        files.write_jsonl(make_infoseek_rows(frame), args.infoseek)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
