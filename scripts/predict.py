"""Let a student answer the evaluation questions with the agent of the trajectories (rule predict).

Splits are those of `data.schemas.SPLITS`.
"""

import asyncio

import polars as pl

from searchtrain.agent import loop, setup
from searchtrain.agent.retrieve_read import read_once
from searchtrain.config import Config
from searchtrain.config.command import Parser
from searchtrain.core import cli
from searchtrain.core.files import digest
from searchtrain.data import schemas
from searchtrain.data.answers import clean_answer
from searchtrain.data.lineage import hash_model
from searchtrain.data.question_file import load_questions
from searchtrain.evaluation.agreement import choose_agreed
from searchtrain.models.client import open_model
from searchtrain.models.identity import check_folder
from searchtrain.models.prompts import render_prompt
from searchtrain.models.request_cache import RequestCache
from searchtrain.search import Search
from searchtrain.training.trainer import is_left_out


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("dev", "test", "out", model="folder of the served model")
    parser.add_paths(
        required=False,
        benchmarks="question file of the benchmarks",
        read_prompt="system prompt of the splits that retrieve, then read",
    )
    parser.add_argument("--splits", nargs="+", required=True)
    parser.add_argument(
        "--check-model", action="store_true", help="refuse a server that serves another folder"
    )
    setup.add_agent_arguments(parser)
    args = parser.parse()
    config = args.config
    files = {"dev": args.dev, "test": args.test, "benchmarks": args.benchmarks}
    names = {split: schemas.name_questions(split) for split in args.splits}
    questions = {
        split: load_questions(files[name], answers=name != "test") for split, name in names.items()
    }
    if is_left_out(args.model):
        schemas.write_table(schemas.empty_table(schemas.Predictions), args.out, schemas.Predictions)
        return
    revision = hash_model(args.model)
    # A file for each student: their predictions may run on several machines at a time.
    writer = f"predictions-{revision[:8]}"
    cache = RequestCache(config.cache, writer)
    sampling = config.models.student.sampling
    model = open_model(config, "student", args.servers, sampling, cache, revision=revision)
    if args.check_model:
        check_folder(model.url, model.role.read_key(), model.role.model, args.model)
    limits = config.predict.limits
    policy = loop.Policy(model, setup.open_harness(config, model.role, limits, args, cache))
    policies = dict.fromkeys(args.splits, policy)
    for split in args.splits:
        if split.endswith("closed_book"):
            policies[split] = loop.forbid_search(policy)
        elif split.endswith("retrieve_read"):
            system = render_prompt(args.read_prompt)
            harness = loop.Harness(system, digest(system), limits)
            policies[split] = loop.Policy(model, harness, read_once)
    search = setup.open_search(config, args.servers, writer)
    frames = asyncio.run(_predict(questions, policies, search, config))
    schemas.write_table(pl.concat(frames), args.out, schemas.Predictions)


async def _predict(
    questions: dict[str, pl.DataFrame],
    policies: dict[str, loop.Policy],
    search: Search,
    config: Config,
) -> list[pl.DataFrame]:
    """Answer one split after the other; returns one frame of `schemas.Predictions` each."""
    frames = []
    try:
        for split, rows in questions.items():
            frame = await loop.run_rollouts(
                loop.make_attempts(rows, config.predict.agreement, config.predict.seed),
                policies[split],
                search,
                config.predict.max_failed_share,
                "predict.max_failed_share",
            )
            if config.predict.clean:
                cleaned = [clean_answer(answer) for answer in frame["answer"]]
                frame = frame.with_columns(pl.Series("answer", cleaned, dtype=pl.String))
            if config.predict.agreement > 1:
                frame = choose_agreed(frame)
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
