"""Before a long stage: do the hours gone by and the planned rest fit the budget?"""

import argparse
import time
from pathlib import Path

from searchtrain.core import cli, files
from searchtrain.task import allowance, budget, ledger
from searchtrain.task.stages import TRIALS


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument("--stage", required=True, help="as plan.json names it")
    parser.add_argument("--rest", type=float, required=True, help="hours planned from it on")
    parser.add_argument("--budget", type=float, required=True, help="hours from the first run on")
    parser.add_argument("--over-budget", choices=["warn", "error", "shrink"], required=True)
    parser.add_paths(cache="where the clock lies")
    parser.add_paths(
        required=False,
        results="folder of the run that shrinks: its ledger lies there",
        timings="folder of <rule>.tsv",
    )
    parser.add_argument("--job", help="the job that begins, named like its timing")
    args = parser.parse()
    started = budget.start_clock(args.cache)
    if args.over_budget == "shrink":
        _allow(args, started)
        return
    gone = (time.time() - started) / 3600
    said = budget.check_rest(args.stage, args.rest, gone, args.budget, args.over_budget)
    if said:
        cli.logger.warning("warning: %s", said)


def _allow(args: argparse.Namespace, started: float) -> None:
    """Plan the rest anew, say what it is without, and write it down for the stage."""
    kept = ledger.Ledger.of(args.results, Path(args.timings))
    config, counts = kept.read_run(args.stage)
    spent = kept.read_spent(config.trajectories.shards)
    # A candidate that begins again may have time now.
    dropped = [each for each in kept.list_dropped() if args.stage != f"{TRIALS}{each}/checkpoint"]
    made = allowance.make_allowance(
        config, counts, args.stage, started, time.time(), spent, dropped
    )
    cli.logger.info("%s", ledger.describe_allowance(made))
    for line in made.said:
        cli.logger.warning("%s: %s", args.job, line)
    files.write_json(made.show(), kept.name_allowance(args.job))


if __name__ == "__main__":
    cli.run(main)
