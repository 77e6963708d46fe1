"""Plan a run: requests, tokens, hours, and which stage holds which GPUs (rule plan).

By hand, for other numbers of questions:

    python scripts/plan.py --config config/presets/search_sft.yaml \\
        config/scale/h200x8.yaml --questions 2000 10000
"""

from collections.abc import Mapping

from searchtrain.config import Config
from searchtrain.config.command import Parser, change_setting
from searchtrain.core import cli, files
from searchtrain.task import budget, contexts, pilot, plan, proposal
from searchtrain.workflow import gpu_plan


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--results", default="results", help="what <results> stands for")
    parser.add_argument(
        "--questions", type=int, nargs="+", help="print plans for so many training questions"
    )
    parser.add_argument("--rollouts", type=int, help="per question, in place of the config's")
    parser.add_paths(
        required=False,
        out="plan.json",
        text="plan.md",
        proposal="proposal.yaml: settings that fill the task's hours",
        pilot="pilot.json: what a pilot measured, in place of settings of the plan",
    )
    args = parser.parse()
    config = args.config
    if args.rollouts:
        config = change_setting(config, "trajectories.rollouts", args.rollouts)
    measured: list[str] = []
    if args.pilot:
        config, measured = pilot.apply_pilot(config, files.read_json(args.pilot))
    for number in args.questions or ():
        planned = change_setting(config, "plan.questions.train", number)
        planned = change_setting(planned, "sample.total", number)
        print(describe_proposed(planned, plan.count_questions(planned, args.results)), end="\n\n")
    if args.questions:
        return
    counts = plan.count_questions(config, args.results)
    made = plan.make_plan(config, counts) | {"gpu_order": gpu_plan.describe(config)}
    made["contexts"] = [str(each) for each in contexts.find_short(config)]
    made["measured"] = measured
    proposed = proposal.propose(config, counts)
    text = plan.format_plan(made)
    if any(step["gpus"] for step in made["gpu_order"]["steps"]):
        text += f"\n\n{gpu_plan.format_order(made['gpu_order'])}"
    text += "".join(f"\n\nTOO SHORT A CONTEXT: {each}" for each in made["contexts"])
    text += "".join(f"\n\nMeasured by the pilot: {'; '.join(measured)}." for _ in measured[:1])
    cli.logger.info("%s", text)
    budget.check_budget(made, config)
    if args.out:
        files.write_json(made, args.out)
    if args.text:
        said = proposal.format_proposal(proposed)
        files.write_text(f"# Plan\n\n```\n{text}\n\n{said}\n```\n", args.text)
    if args.proposal:
        files.write_text(proposal.render_proposal(proposed), args.proposal)


def describe_proposed(config: Config, counts: Mapping[str, int]) -> str:
    """The plan of a config, what is proposed for its hours, and the plan of that."""
    parts = [plan.format_plan(plan.make_plan(config, counts))]
    proposed = proposal.propose(config, counts)
    parts.append(proposal.format_proposal(proposed))
    if not isinstance(proposed, str):
        confirmed = plan.make_plan(proposal.apply_proposal(config, proposed), counts)
        parts.append(f"With it:\n\n{plan.format_plan(confirmed)}")
    return "\n\n".join(parts)


if __name__ == "__main__":
    cli.run(main)
