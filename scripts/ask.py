"""Ask the student of a run, and watch it think and search.

    python scripts/ask.py "What is the capital of Norway?" --results results
    python scripts/ask.py --results results < questions.txt

Without a question it asks for one after the other, each for itself; an empty line ends it. The
retriever and the student are served for as long as it runs, unless the settings have endpoints:
those of the run, and what --config changes of them.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from searchtrain.agent import setup
from searchtrain.agent.loop import Attempt, Policy, draw_seed, rollout
from searchtrain.config import Config, read_config
from searchtrain.config.command import Parser
from searchtrain.config.section import merge_values
from searchtrain.core import cli
from searchtrain.data.answers import clean_answer
from searchtrain.data.lineage import hash_model
from searchtrain.data.results import Results
from searchtrain.models.client import open_model
from searchtrain.models.request_cache import RequestCache
from searchtrain.search import Search
from searchtrain.story.watched_rollout import Conversation, WatchedModel, WatchedSearch
from searchtrain.workflow.servers import revise_scripted
from searchtrain.workflow.session import check_built, start_servers

PROMPTS = Path(__file__).resolve().parents[1] / "config" / "prompts"
ASKED = "ask"
"""The question's id, and the name of this job's file in the request cache."""


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("question", nargs="*", help="left out: read from the terminal or stdin")
    parser.add_paths(required=False, results="folder of the run; results if left out")
    args = parser.parse()
    results = args.results or Path("results")
    settings = Results(results).settings or {}
    config = revise_scripted(read_config(merge_values(settings, args.config.changes())))
    checkpoint = results / "checkpoint"
    if not config.models.student.endpoint:
        check_built(checkpoint, "models.student")
    shown = Conversation(Console(highlight=False, markup=False))
    logs = Path(config.pathvars.get("logs", "logs"))
    with start_servers(config, "predict", results, logs) as args.servers, asyncio.Runner() as loop:
        args.prompt = PROMPTS / "agent.jinja"
        args.refine_prompt = PROMPTS / "refine.jinja"
        try:
            with shown.console.status("starting the student and its search"):
                policy, search = _open(args, config, checkpoint, shown)
            for question in _read_questions(args.question, shown):
                loop.run(_answer(question, policy, search, config, shown))
            loop.run(search.close())
            loop.run(policy.model.close())
        except KeyboardInterrupt:
            shown.console.print()
            sys.exit(130)


def _open(
    args: argparse.Namespace, config: Config, checkpoint: Path, shown: Conversation
) -> tuple[Policy, Search]:
    """What rule predict answers with, as soon as its servers are ready."""
    cache = RequestCache(config.cache, ASKED)
    search = setup.open_search(config, args.servers, ASKED)
    sampling, limits = config.models.student.sampling, config.predict.limits
    revision = hash_model(checkpoint) if checkpoint.exists() else None
    model = open_model(config, "student", args.servers, sampling, cache, revision=revision)
    harness = setup.open_harness(config, model.role, limits, args, cache)
    watched = WatchedModel(model, harness.format, shown)
    return Policy(watched, harness), WatchedSearch(search, shown)


async def _answer(
    question: str, policy: Policy, search: Search, config: Config, shown: Conversation
) -> None:
    """Answer one question as rule predict does."""
    began, seed = time.monotonic(), draw_seed(config.predict.seed, ASKED, 0)
    attempt = Attempt(ASKED, " ".join(question.split()), (), ASKED, (), 0, seed)
    row, error = await rollout(attempt, policy, search)
    if error:
        cli.logger.error("%s", error)
    answer = clean_answer(row["answer"]) if config.predict.clean else row["answer"]
    shown.show_end(row, answer, time.monotonic() - began)


def _read_questions(given: list[str], shown: Conversation) -> Iterator[str]:
    """The question of the command line, the lines of stdin, or what is typed in."""
    if given:
        yield " ".join(given)
    elif not sys.stdin.isatty():
        for line in filter(str.strip, sys.stdin):
            shown.show("question", line.strip())
            yield line
    else:
        while question := _type_question():
            yield question


def _type_question() -> str:
    """What is typed in; empty when there are no more questions."""
    try:
        return input("\nquestion: ").strip()
    except EOFError:
        return ""


if __name__ == "__main__":
    cli.run(main)
