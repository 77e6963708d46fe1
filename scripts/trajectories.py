"""Let the teacher, or an earlier student, answer questions by searching (rule trajectories)."""

import asyncio
import importlib
import json
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.agent import loop, setup, shards
from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.data.lineage import hash_model
from searchtrain.models.client import open_model
from searchtrain.models.request_cache import RequestCache
from searchtrain.questions import seeds
from searchtrain.search import Search


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--teacher", required=True, help="URL or endpoint file of who answers")
    parser.add_argument("--shard", type=read_shard, help="number/count: only these questions")
    parser.add_argument("--model", type=Path, help="folder of the model, if this workflow made it")
    setup.add_agent_arguments(parser)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--config", type=json.loads, required=True)
    parser.add_argument("--runtime", type=json.loads, required=True)
    args = cli.parse(parser)
    config, runtime = args.config, args.runtime
    frame = schemas.read_table(args.questions, schemas.Questions)
    asked = seeds.draw_questions(frame, config["questions"], config["seed"])
    writer = "trajectories"
    if args.shard:
        number, count = args.shard
        asked = shards.take_shard(asked, number, count)
        # While a shard writes, others read only what was bought with another number of shards.
        writer += f"-{number}-of-{count}"
    cache = RequestCache(args.cache, writer)
    role, changes = "teacher", {}
    if args.model:
        role, changes = "student", {"revision": hash_model(args.model)}
    model = open_model(role, args.teacher, config["teacher"], runtime[role], cache, **changes)
    policy = setup.open_policy(args, model, config, runtime, cache)
    search = setup.open_search(args.search, config, runtime, writer)
    attempts = loop.make_attempts(asked, config["rollouts"], config["seed"])
    rows = asyncio.run(_roll_out(attempts, policy, search, config))
    report = loop.report_rollouts(rows, len(attempts), policy, search)
    schemas.write_table(rows, args.out, schemas.Trajectories)
    files.write_json(report, args.report)


def read_shard(text: str) -> tuple[int, int]:
    """`2/3` as numbers."""
    number, count = map(int, text.split("/"))
    if not 1 <= number <= count:
        raise ValueError(text)
    return number, count


async def _roll_out(
    attempts: list[loop.Attempt], policy: loop.Policy, search: Search, config: dict[str, Any]
) -> pl.DataFrame:
    adaptive = config["adaptive"]
    enough = None
    if adaptive:
        # Not imported above: without adaptive mode no curation rule makes trajectories stale.
        curation = importlib.import_module("searchtrain.curation.choice")
        accept = curation.make_acceptance(adaptive["rules"])
        enough = loop.Enough(adaptive["accepted"], accept)
    try:
        return await loop.run_rollouts(
            attempts,
            policy,
            search,
            config["max_failed_share"],
            "trajectories.max_failed_share",
            enough,
        )
    finally:
        await search.close()


if __name__ == "__main__":
    cli.run(main)
