"""What each stage makes of an endpoint: the project's own code and prompts, small numbers."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import polars as pl

from searchtrain import config
from searchtrain.agent import grammar, loop, setup
from searchtrain.agent.refiner import Refiner
from searchtrain.config import Limits, Sampling, Trees, Verify, read_config
from searchtrain.core.errors import ProtocolError
from searchtrain.data import question_file
from searchtrain.demo import world
from searchtrain.evaluation import judge
from searchtrain.models.asker import Asker
from searchtrain.models.client import ModelClient
from searchtrain.models.prompts import render_prompt
from searchtrain.models.role import make_role
from searchtrain.questions import tagging
from searchtrain.search.bm25 import BM25Index
from searchtrain.search.index import build_index
from searchtrain.trees import growth, verification, writing
from searchtrain.trees.pages import PageStore
from searchtrain.trees.quality import Quality
from searchtrain.trees.roots import HeldOut, RootDraw

PROMPTS = Path(__file__).parents[2] / "config/prompts"
WORLD = {
    "seed": 2,
    "cities_per_country": 10,
    "sizes": {"train": 60, "dev": 4, "test": 4},
    "shares": {"single_hop": 0.25, "two_hop": 0.25, "three_hop": 0.25, "comparison": 0.25},
    "max_answer_share": 1,
    "details": True,
}
LIMITS = Limits(max_completion_tokens=16_384, max_observation_chars=4000, topk=5)
ROLLOUT = Sampling(temperature=0.7, max_tokens=4096)
OBJECT = Sampling(temperature=0.0, max_tokens=512)
IN_FLIGHT = 8
"""Requests that may be on their way at once."""


class Desk:
    """The laptop world with its index, and the stages that ask one endpoint about it."""

    def __init__(self, folder):
        world.write_world(folder, config.World(**WORLD))
        build_index(folder / "passages.jsonl", folder / "index", config.Index())
        self.index = BM25Index(folder / "index", folder / "passages.jsonl")
        self.pages = PageStore(folder / "passages.jsonl")
        self.questions = question_file.load_questions(folder / "train.json")

    def take(self, count):
        """The first questions, as `schemas.Seeds` has them."""
        return self.questions.head(count)


class Searcher:
    """The index as what an agent searches."""

    def __init__(self, index):
        self.index = index

    async def search(self, queries, topk, exclude=()):
        return await self.index.search(queries, topk)

    def stop(self):
        pass

    def report(self):
        return {}

    async def close(self):
        pass


def make_config(served, role="teacher", **settings):
    """A config in which `role` is the endpoint."""
    values = {
        "endpoint": served.url,
        "serve": None,
        "same_as": None,
        "model": served.model,
        "concurrency": IN_FLIGHT,
    }
    return read_config({"models": {role: {**values, **settings}}})


@asynccontextmanager
async def open_client(served, role, sampling, settings):
    made = make_role(make_config(served, role, **settings), role, sampling)
    client = ModelClient(made, served.url, None)
    try:
        yield client
    finally:
        await client.close()


def tag(desk, served, settings, sampling=OBJECT, count=30):
    """The share of the questions that get a tag."""

    async def go():
        async with open_client(served, "teacher", sampling, settings) as client:
            loose = config.Tag(max_failed_share=1.0)
            system = render_prompt(PROMPTS / "tag.jinja")
            return await tagging.tag_questions(desk.take(count), system, client, loose)

    return asyncio.run(go()).filter(pl.col("domain") != "").height / count


def roll_out(desk, served, settings, *, limits=LIMITS, refine=False, closed=False, count=30):
    """The rows of some rollouts and the client's usage."""

    async def go():
        made = make_config(served, **settings)
        async with (
            open_client(served, "teacher", ROLLOUT, settings) as client,
            open_client(served, "refiner", OBJECT, settings) as second,
        ):
            refiner = None
            if refine:
                system = render_prompt(PROMPTS / "refine.jinja")
                refiner = Refiner(
                    second, system, seed=1, max_document_chars=3000, max_failed_share=1
                )
            prompt = PROMPTS / "agent_teacher.jinja"
            harness = setup.make_harness(made, client.role, limits, prompt, refiner)
            policy = loop.Policy(client, harness)
            attempts = loop.make_attempts(desk.take(count), 1, 1)
            rows = await loop.run_rollouts(
                attempts, loop.forbid_search(policy) if closed else policy, Searcher(desk.index),
                1.0, "none",
            )  # fmt: skip
            return rows, client.usage, second.usage

    return asyncio.run(go())


def measure_usable(rows):
    """The share of the rollouts that training could use: valid in every turn, and answered."""

    def is_usable(messages):
        try:
            return grammar.validate_trajectory(messages)[-1].answer is not None
        except ProtocolError:
            return False

    return sum(map(is_usable, rows["messages"].to_list())) / rows.height


def judge_answers(desk, served, settings, count=20):
    """The share of the answers that get a verdict."""

    async def go():
        async with open_client(served, "judge", OBJECT, settings) as client:
            rows = desk.take(count).select(
                "question", "golden_answers",
                split=pl.lit("dev"), question_id="id", answer=pl.col("golden_answers").list.first(),
            )  # fmt: skip
            system = render_prompt(PROMPTS / "judge.jinja")
            loose = config.Judge(max_failed_share=1.0)
            return await judge.judge_predictions(rows, system, client, loose)

    frame, _ = asyncio.run(go())
    return frame["correct"].sum() / count


def grow(desk, served, settings, count=10):
    """Trees, by a planner and a browser; what was refused; the failures of either."""

    async def go():
        trees = Trees(count=count, max_failed_share=1.0, max_steps=30)
        async with (
            open_client(served, "planner", Sampling(max_tokens=2048), settings) as planner,
            open_client(served, "browser", Sampling(max_tokens=4096), settings) as browser,
        ):
            limit = trees.max_reply_chars
            plan = Asker(planner, render_prompt(PROMPTS / "plan.jinja"), growth.PLAN_SCHEMA, limit)
            browse = Asker(
                browser, render_prompt(PROMPTS / "browse.jinja"), growth.BROWSE_SCHEMA, limit
            )
            quality = Quality(desk.index, desk.pages, trees)
            grower = growth.Grower(plan, browse, quality, desk.pages, trees)
            roots = RootDraw(desk.pages, HeldOut([]), 10).draw_from_corpus(count, 1)
            frame = await growth.grow_trees(
                roots, grower, [planner, browser], Searcher(desk.index), trees
            )
            return frame, Counter(grower.refused)

    return asyncio.run(go())


def write(desk, served, settings, trees):
    """The questions of finished trees."""

    async def go():
        async with open_client(served, "writer", OBJECT, settings) as client:
            prompt = render_prompt(PROMPTS / "write_question.jinja")
            asker = Asker(client, prompt, writing.QUESTION_SCHEMA, 4000)
            loose = Trees(max_failed_share=1.0)
            return await writing.write_questions(trees, asker, desk.pages, loose)

    written, _ = asyncio.run(go())
    return written


def verify(desk, served, settings, written):
    """`schemas.TreeQuestions`."""

    async def go():
        async with (
            open_client(served, "solver", OBJECT, settings) as solver,
            open_client(served, "verifier", OBJECT, settings) as verifier,
        ):
            panel = verification.Panel(
                solver, render_prompt(PROMPTS / "solve.jinja"),
                verifier, render_prompt(PROMPTS / "verify.jinja"), Searcher(desk.index),
            )  # fmt: skip
            loose = Verify(max_failed_share=1.0, held_out=0)
            return await verification.verify_trees(written, desk.pages, panel, loose)

    return asyncio.run(go())
