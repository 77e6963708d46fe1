"""Plan a run: requests, tokens, hours, and which stage holds which GPUs (rule plan).

By hand, for other numbers of questions:

    python scripts/plan.py --config config/presets/search_sft.yaml \\
        config/scale/h200x8.yaml --questions 2000 10000
"""

from typing import Any

from searchtrain.config import Config
from searchtrain.config.command import Parser, change_setting
from searchtrain.core import cli, files
from searchtrain.task import budget, contexts, plan
from searchtrain.workflow import gpu_plan


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--results", default="results", help="what <results> stands for")
    parser.add_argument(
        "--questions", type=int, nargs="+", help="print plans for so many training questions"
    )
    parser.add_argument("--rollouts", type=int, help="per question, in place of the config's")
    parser.add_paths(required=False, out="plan.json", text="plan.md")
    args = parser.parse()
    config = args.config
    if args.rollouts:
        config = change_setting(config, "trajectories.rollouts", args.rollouts)
    for number in args.questions or ():
        planned = change_setting(config, "plan.questions.train", number)
        planned = change_setting(planned, "sample.total", number)
        made = make_plan(planned, args.results)
        print(plan.format_plan(made), end="\n\n")
    if args.questions:
        return
    made = make_plan(config, args.results) | {"gpu_order": gpu_plan.describe(config)}
    made["contexts"] = [str(each) for each in contexts.find_short(config)]
    text = plan.format_plan(made)
    if any(step["gpus"] for step in made["gpu_order"]["steps"]):
        text += f"\n\n{gpu_plan.format_order(made['gpu_order'])}"
    text += "".join(f"\n\nTOO SHORT A CONTEXT: {each}" for each in made["contexts"])
    cli.logger.info("%s", text)
    budget.check_budget(made, config)
    if args.out:
        files.write_json(made, args.out)
    if args.text:
        files.write_text(f"# Plan\n\n```\n{text}\n```\n", args.text)


def make_plan(config: Config, results: str) -> dict[str, Any]:
    """The plan of a config, its questions counted."""
    return plan.make_plan(config, plan.count_questions(config, results))


if __name__ == "__main__":
    cli.run(main)
