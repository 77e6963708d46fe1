"""Ask the teacher for the domain and the key points of every question (rule tag)."""

import asyncio
import logging
from pathlib import Path

from searchtrain.agent import setup
from searchtrain.config.command import add_config_argument
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
    setup.add_server_argument(parser)
    parser.add_argument("--out", type=Path, required=True)
    add_config_argument(parser)
    args = cli.parse(parser)
    config = args.config
    seeds = schemas.read_table(args.seeds, schemas.Seeds)
    system = render_prompt(args.prompt)
    cache = RequestCache(config.cache, "tag")
    client = open_model(config, "teacher", args.servers, config.tag.sampling, cache)
    tagged = asyncio.run(tagging.tag_questions(seeds, system, client, config.tag))
    logger.info("domains:\n%s", tagging.describe_domains(tagged))
    schemas.write_table(tagged, args.out, schemas.Tagged)


if __name__ == "__main__":
    cli.run(main)
