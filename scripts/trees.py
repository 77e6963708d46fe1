"""Grow research trees over the corpus (rule trees)."""

import asyncio
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.agent import setup
from searchtrain.config import Trees
from searchtrain.config.command import add_config_argument
from searchtrain.core import cli, files
from searchtrain.data import question_file, schemas
from searchtrain.models.asker import Asker
from searchtrain.models.client import open_model
from searchtrain.models.prompts import render_prompt
from searchtrain.models.request_cache import RequestCache
from searchtrain.search import Search
from searchtrain.trees import growth
from searchtrain.trees.pages import Page, PageStore
from searchtrain.trees.quality import Quality
from searchtrain.trees.roots import HeldOut, RootDraw


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--seeds", type=Path, required=True, help="for roots from seed answers")
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--plan-prompt", type=Path, required=True)
    parser.add_argument("--browse-prompt", type=Path, required=True)
    setup.add_server_argument(parser)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    add_config_argument(parser)
    args = cli.parse(parser)
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
    draw = RootDraw(pages, held_out, settings.min_text)
    frame, report = asyncio.run(_grow(planner, browser, search, pages, draw, answers, settings))
    schemas.write_table(frame, args.out, schemas.Trees)
    files.write_json(report, args.report)


async def _grow(
    planner: Asker,
    browser: Asker,
    search: Search,
    pages: PageStore,
    draw: RootDraw,
    answers: list[str],
    settings: Trees,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    models = [planner.model, browser.model]
    quality = Quality(search, pages, settings)
    grower = growth.Grower(planner, browser, quality, pages, settings)
    try:
        roots: list[Page] = (
            draw.draw_from_corpus(settings.count, settings.seed)
            if settings.roots == "corpus"
            else await draw.draw_from_answers(answers, settings.count, settings.seed, search)
        )
        frame = await growth.grow_trees(roots, grower, models, search, settings)
    finally:
        await search.close()
    report = growth.report_growth(
        frame, grower.refused, draw.passed_over, pages.broken_links, models
    )
    return frame, report


if __name__ == "__main__":
    cli.run(main)
