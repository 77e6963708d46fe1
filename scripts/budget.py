"""Before a long stage: do the hours gone by and the planned rest fit the budget?"""

import logging
import time
from pathlib import Path

from searchtrain.core import cli
from searchtrain.task import budget, plan

logger = logging.getLogger("budget")


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--stage", choices=plan.STAGES, required=True)
    parser.add_argument("--rest", type=float, required=True, help="hours planned from it on")
    parser.add_argument("--budget", type=float, required=True, help="hours from the first run on")
    parser.add_argument("--over-budget", choices=["warn", "error"], required=True)
    parser.add_argument("--cache", type=Path, required=True, help="where the clock lies")
    args = cli.parse(parser)
    gone = (time.time() - budget.start_clock(args.cache)) / 3600
    said = budget.check_rest(args.stage, args.rest, gone, args.budget, args.over_budget)
    if said:
        logger.warning("warning: %s", said)


if __name__ == "__main__":
    cli.run(main)
