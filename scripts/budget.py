"""Before a long stage: do the hours gone by and the planned rest fit the budget?"""

import time

from searchtrain.core import cli
from searchtrain.task import budget, plan


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument("--stage", choices=plan.STAGES, required=True)
    parser.add_argument("--rest", type=float, required=True, help="hours planned from it on")
    parser.add_argument("--budget", type=float, required=True, help="hours from the first run on")
    parser.add_argument("--over-budget", choices=["warn", "error"], required=True)
    parser.add_paths(cache="where the clock lies")
    args = parser.parse()
    gone = (time.time() - budget.start_clock(args.cache)) / 3600
    said = budget.check_rest(args.stage, args.rest, gone, args.budget, args.over_budget)
    if said:
        cli.logger.warning("warning: %s", said)


if __name__ == "__main__":
    cli.run(main)
