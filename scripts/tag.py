"""Ask the teacher for the domain and the key points of every question (rule tag)."""

import asyncio

from searchtrain.agent import setup
from searchtrain.config.command import Parser
from searchtrain.core import cli
from searchtrain.data import schemas
from searchtrain.models.client import open_model
from searchtrain.models.prompts import render_prompt
from searchtrain.models.request_cache import RequestCache
from searchtrain.questions import tagging


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("seeds", "prompt", "out")
    setup.add_server_argument(parser)
    args = parser.parse()
    config = args.config
    seeds = schemas.read_table(args.seeds, schemas.Seeds)
    system = render_prompt(args.prompt)
    cache = RequestCache(config.cache, "tag")
    client = open_model(config, "teacher", args.servers, config.tag.sampling, cache)
    tagged = asyncio.run(tagging.tag_questions(seeds, system, client, config.tag))
    cli.logger.info(
        "%d questions in %d domains:\n%s",
        tagged.height,
        tagged["domain"].n_unique(),
        tagging.describe_domains(tagged),
    )
    schemas.write_table(tagged, args.out, schemas.Tagged)


if __name__ == "__main__":
    cli.run(main)
