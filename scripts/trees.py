"""Grow research trees over the corpus (rule trees)."""

import asyncio

import polars as pl

from searchtrain.agent import setup
from searchtrain.config import Trees
from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.data import question_file, schemas
from searchtrain.models.asker import Asker
from searchtrain.models.client import open_model
from searchtrain.models.model import Model
from searchtrain.models.prompts import render_prompt
from searchtrain.models.request_cache import RequestCache
from searchtrain.search import Search
from searchtrain.trees import growth
from searchtrain.trees.pages import PageStore
from searchtrain.trees.quality import Quality
from searchtrain.trees.roots import HeldOut, RootDraw


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("corpus", "dev", "test", "plan-prompt", "browse-prompt", "out", "report")
    parser.add_paths(seeds="for roots from seed answers")
    setup.add_server_argument(parser)
    args = parser.parse()
    config, settings = args.config, args.config.trees
    held_out = HeldOut(
        text
        for path in (args.dev, args.test)
        for text in question_file.load_questions(path, answers=False)["question"]
    )
    answers = schemas.read_table(args.seeds, schemas.Seeds)["golden_answers"].list.first().to_list()
    pages = PageStore(args.corpus)
    cache = RequestCache(config.cache, "trees")
    planner, browser = (
        Asker(
            open_model(config, role, args.servers, sampling, cache),
            render_prompt(prompt),
            schema,
            settings.max_reply_chars,
        )
        for role, sampling, prompt, schema in (
            ("planner", settings.sampling.planner, args.plan_prompt, growth.PLAN_SCHEMA),
            ("browser", settings.sampling.browser, args.browse_prompt, growth.BROWSE_SCHEMA),
        )
    )
    search = setup.open_search(config, args.servers, "trees", "retriever")
    quality = Quality(search, pages, settings)
    grower = growth.Grower(planner, browser, quality, pages, settings)
    draw = RootDraw(pages, held_out, settings.min_text)
    models = [planner.model, browser.model]
    frame = asyncio.run(_grow(grower, models, draw, answers, search, settings))
    report = growth.report_growth(
        frame, grower.refused, draw.passed_over, pages.broken_links, models
    )
    schemas.write_table(frame, args.out, schemas.Trees)
    files.write_json(report, args.report)


async def _grow(
    grower: growth.Grower,
    models: list[Model],
    draw: RootDraw,
    answers: list[str],
    search: Search,
    settings: Trees,
) -> pl.DataFrame:
    try:
        roots = (
            draw.draw_from_corpus(settings.count, settings.seed)
            if settings.roots == "corpus"
            else await draw.draw_from_answers(answers, settings.count, settings.seed, search)
        )
        return await growth.grow_trees(roots, grower, models, search, settings)
    finally:
        await search.close()


if __name__ == "__main__":
    cli.run(main)
