"""Ask the teacher for the domain and the key points of every question (rule tag)."""

import asyncio
import json
import logging
from pathlib import Path

from searchtrain.core import cli
from searchtrain.data import schemas
from searchtrain.models.client import open_model
from searchtrain.models.prompts import render_prompt
from searchtrain.models.request_cache import RequestCache
from searchtrain.questions import tagging

logger = logging.getLogger("tag")


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--seeds", type=Path, required=True)
    parser.add_argument("--prompt", type=Path, required=True)
    parser.add_argument("--teacher", required=True, help="URL or endpoint file")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the request cache")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=json.loads, required=True)
    parser.add_argument("--runtime", type=json.loads, required=True)
    args = cli.parse(parser)
    seeds = schemas.read_table(args.seeds, schemas.Seeds)
    system = render_prompt(args.prompt)
    cache = RequestCache(args.cache, "tag")
    client = open_model(
        "teacher", args.teacher, args.config["teacher"], args.runtime["teacher"], cache
    )
    tagged = asyncio.run(tagging.tag_questions(seeds, system, client, args.config))
    logger.info("domains:\n%s", tagging.describe_domains(tagged))
    schemas.write_table(tagged, args.out, schemas.Tagged)


if __name__ == "__main__":
    cli.run(main)
