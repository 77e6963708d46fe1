"""Turn finished research trees into questions (rule tree_questions)."""

import asyncio
import json
from pathlib import Path

from searchtrain.config.settings import parse_settings
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
    parser.add_argument("--write-prompt", type=Path, required=True)
    parser.add_argument("--writer", required=True, help="URL or endpoint file")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the request cache")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--infoseek", type=Path, help="also write them as InfoSeek's JSON Lines")
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--config", type=json.loads, required=True)
    parser.add_argument("--runtime", type=json.loads, required=True)
    args = cli.parse(parser)
    config = dict(args.config)
    model = config.pop("writer")
    settings = parse_settings(writing.WritingSettings, config, "tree_questions")
    trees = schemas.read_table(args.trees, schemas.Trees)
    pages = PageStore(args.corpus)
    cache = RequestCache(args.cache, "tree_questions")
    writer = Asker(
        open_model("writer", args.writer, model, args.runtime["writer"], cache),
        render_prompt(args.write_prompt),
        writing.QUESTION_SCHEMA,
        settings.max_reply_chars,
    )
    frame, report = asyncio.run(writing.write_questions(trees, writer, pages, settings))
    schemas.write_table(frame, args.out, schemas.WrittenTrees)
    if args.infoseek:
        with (
            files.replace_file(args.infoseek) as partial,
            partial.open("w", encoding="utf-8") as stream,
        ):
            for row in make_infoseek_rows(frame):
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
