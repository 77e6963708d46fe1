"""Let the teacher, or an earlier student, answer questions by searching (rule trajectories)."""

import asyncio
from collections.abc import Awaitable

import polars as pl

from searchtrain.agent import loop, setup, shards, waves
from searchtrain.config.command import Parser
from searchtrain.config.rounds import plan_rollouts, read_round
from searchtrain.core import cli, files
from searchtrain.curation import choice
from searchtrain.data import schemas
from searchtrain.data.lineage import hash_model
from searchtrain.models.client import open_model
from searchtrain.models.request_cache import RequestCache
from searchtrain.questions import seeds
from searchtrain.search import Search


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("questions", "out", "report")
    parser.add_argument("--round", type=read_round, default=1, help="of SFT: rounds/2/ or 2")
    parser.add_argument("--draw", type=int, help="a pilot: so many of the questions")
    parser.add_argument("--shard", type=int, help="only the questions of this shard, from 1")
    parser.add_paths(
        required=False,
        model="folder of the student, in a later round",
        allowance="what a run that may be late leaves of it",
    )
    setup.add_agent_arguments(parser)
    args = parser.parse()
    config = args.config
    plan = plan_rollouts(config, args.round)
    frame = schemas.read_table(args.questions, schemas.Questions)
    questions = seeds.draw_questions(frame, args.draw or plan.questions, plan.seed)
    writer = "trajectories" + (f"-round{args.round}" if args.round > 1 else "")
    writer += "-pilot" * bool(args.draw)
    if args.shard:
        count = config.trajectories.shards
        questions = shards.take_shard(questions, args.shard, count)
        # While a shard writes, others read only what was paid for with another number of shards.
        writer += f"-{args.shard}-of-{count}"
    cache = RequestCache(config.cache, writer)
    revision = hash_model(args.model) if args.model else None
    model = open_model(
        config, plan.role, args.servers, plan.sampling, cache, server="teacher", revision=revision
    )
    harness = setup.open_harness(config, model.role, plan.limits, args, cache)
    policy = loop.Policy(model, harness)
    search = setup.open_search(config, args.servers, writer)
    attempts = loop.make_attempts(questions, plan.rollouts, plan.seed)
    accept = waves.remember(choice.make_acceptance(config.curate))
    enough = None
    if plan.judged:
        further = []
        if plan.more:
            sampling = config.trajectories.more.sampling
            other = open_model(config, plan.role, args.servers, sampling, cache, server="teacher")
            further.append(waves.Wave(waves.MORE, plan.more, loop.Policy(other, harness)))
        if plan.hints:
            hinted = setup.make_harness(
                config, model.role, plan.limits, args.prompt, harness.refiner, hint=waves.ANSWER
            )
            further.append(waves.Wave(waves.HINTED, plan.hints, loop.Policy(model, hinted)))
        deadline = files.read_json(args.allowance)["deadline"] if args.allowance else None
        enough = loop.Enough(plan.accepted, accept, further, deadline)
    most, key = config.trajectories.max_failed_share, "trajectories.max_failed_share"
    rollouts = loop.run_rollouts(
        attempts, policy, search, most, key, enough, needs_turns=args.round == 1, seed=plan.seed
    )
    rows = asyncio.run(_roll_out(rollouts, search))
    report = loop.report_rollouts(rows, len(attempts), policy, search)
    if plan.more or plan.hints:
        report["waves"] = waves.report_waves(rows, accept)
        table = waves.format_waves(report["waves"])
        cli.logger.info("%d rollouts in %d waves:\n%s", rows.height, len(report["waves"]), table)
    schemas.write_table(rows, args.out, schemas.Trajectories)
    files.write_json(report, args.report)


async def _roll_out(rollouts: Awaitable[pl.DataFrame], search: Search) -> pl.DataFrame:
    try:
        return await rollouts
    finally:
        await search.close()


if __name__ == "__main__":
    cli.run(main)
