"""Turn finished research trees into questions (rule written_trees)."""

import asyncio

from searchtrain.agent import setup
from searchtrain.config.command import Parser
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
    parser = Parser(__doc__)
    parser.add_paths("trees", "corpus", "prompt", "out", "report")
    setup.add_server_argument(parser)
    parser.add_paths(required=False, infoseek="also write them as InfoSeek's JSON Lines")
    args = parser.parse()
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
