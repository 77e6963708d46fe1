"""Let a model answer the evaluation questions with the agent of the trajectories (rule predict).

Splits are `dev`, `test`, `test_closed_book` (no search allowed), `test_untrained` and
`benchmarks`.
"""

import asyncio
import json
from pathlib import Path

import polars as pl

from searchtrain.agent import loop, setup
from searchtrain.core import cli
from searchtrain.data import question_file, schemas
from searchtrain.data.lineage import hash_model
from searchtrain.models.client import open_model
from searchtrain.models.identity import check_folder
from searchtrain.models.request_cache import RequestCache
from searchtrain.search import Search


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--benchmarks", type=Path, help="question file of the benchmarks")
    parser.add_argument("--splits", nargs="+", required=True)
    parser.add_argument("--model", type=Path, required=True, help="folder of the served model")
    parser.add_argument("--student", required=True, help="URL or endpoint file")
    setup.add_agent_arguments(parser)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=json.loads, required=True)
    parser.add_argument("--runtime", type=json.loads, required=True)
    args = cli.parse(parser)
    config, runtime = args.config, args.runtime
    files = {"dev": args.dev, "benchmarks": args.benchmarks}
    asked = {
        split: question_file.load_questions(files.get(split, args.test), answers=split in files)
        for split in args.splits
    }
    cache = RequestCache(args.cache, args.out.stem)
    model = open_model(
        "student",
        args.student,
        config["student"],
        runtime["student"],
        cache,
        revision=hash_model(args.model),
    )
    if runtime["student"].get("only_checkpoint"):
        check_folder(model.url, model.role.read_key(), model.role.model, args.model)
    policy = setup.open_policy(args, model, config, runtime, cache)
    search = setup.open_search(args.search, config, runtime, args.out.stem)
    frames = asyncio.run(_predict(asked, policy, search, config))
    schemas.write_table(pl.concat(frames), args.out, schemas.Predictions)


async def _predict(
    asked: dict[str, pl.DataFrame], policy: loop.Policy, search: Search, config: dict
) -> list[pl.DataFrame]:
    """Answer one split after the other; returns one frame of `schemas.Predictions` each."""
    frames = []
    try:
        for split, rows in asked.items():
            closed = split == "test_closed_book"
            frame = await loop.run_rollouts(
                loop.make_attempts(rows, 1, config["seed"]),
                loop.forbid_search(policy) if closed else policy,
                search,
                config["max_failed_share"],
                "predict.max_failed_share",
            )
            frames.append(
                frame.with_columns(
                    id=pl.concat_str(pl.lit(f"{split}/"), pl.col("id")), split=pl.lit(split)
                )
            )
    finally:
        await search.close()
    return frames


if __name__ == "__main__":
    cli.run(main)
