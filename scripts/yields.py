"""Score every rollout by type of question, and say what the wrong ones lack (rule yields)."""

from searchtrain.config.command import Parser
from searchtrain.config.rounds import plan_rollouts, read_round
from searchtrain.core import cli, files
from searchtrain.core.errors import InputError
from searchtrain.data import question_file, schemas
from searchtrain.evaluation import yields
from searchtrain.evaluation.conditions import (
    describe_conditions,
    describe_search,
    format_conditions,
)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("trajectories", out="yield.json")
    parser.add_argument("--round", type=read_round, default=1, help="of SFT: rounds/2/ or 2")
    parser.add_paths(
        required=False,
        types="object {id: type}, as far as they are known",
        corpus="corpus.jsonl, for what was retrieved and not shown",
        index="of this corpus, which says what was searched",
    )
    args = parser.parse()
    rows = schemas.read_table(args.trajectories, schemas.Trajectories)
    if rows.is_empty():
        raise InputError(f"{args.trajectories}: no rollouts; run rule trajectories again")
    found = yields.make_yield(
        rows, question_file.load_types(args.types) if args.types else {}, args.corpus
    )
    plan = plan_rollouts(args.config, args.round)
    search = describe_search(args.config, args.index)
    found["conditions"] = describe_conditions(search, plan.limits, plan.sampling, rows)
    cli.logger.info(
        "exact match of %d rollouts is %.3f:\n%s\n%s",
        found["rollouts"],
        found["em_strict"],
        yields.format_yield(found),
        format_conditions(found["conditions"]),
    )
    files.write_json(found, args.out)


if __name__ == "__main__":
    cli.run(main)
