"""Write pairs of better and worse turns out of the teacher's rollouts (rule preferences)."""

from searchtrain.agent.formats import open_format
from searchtrain.config import describe_limits
from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.core.errors import InputError
from searchtrain.core.text_table import format_table
from searchtrain.curation.choice import make_acceptance
from searchtrain.data import schemas
from searchtrain.models.prompts import render_prompt
from searchtrain.models.role import make_role
from searchtrain.training import preferences, sharegpt
from searchtrain.training.pairs import draw_pairs, find_pairs


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("trajectories", "out", prompt="the student's system prompt")
    parser.add_paths(info="dataset_info.json, beside --out", report="preferences_report.json")
    parser.add_paths(required=False, questions="every pair must trace to a seed of these")
    args = parser.parse()
    config = args.config
    form = config.models.student.format
    system = render_prompt(args.prompt, **describe_limits(config.predict.limits, form))
    student = make_role(config, "student", config.models.student.sampling)
    written = open_format(form, student)
    trajectories = schemas.read_table(args.trajectories, schemas.Trajectories)
    if args.questions:
        questions = schemas.read_table(args.questions, schemas.Questions)
        sharegpt.check_origins(trajectories, questions, config.task.teacher, config.trees.enabled)
    found = find_pairs(trajectories, config.preferences, make_acceptance(config.curate))
    if not found:
        raise InputError(
            f"{args.trajectories}: no preference pair in {trajectories.height} rollouts; make"
            " several of a question (trajectories.rollouts, at a temperature above 0), or leave"
            " preference training out"
        )
    taken = draw_pairs(found, config.preferences)
    report = preferences.make_report(found, taken)
    kinds = report["kinds"].items()
    cli.logger.info(
        "%d pairs:\n%s",
        len(taken),
        format_table(
            [{"kind": kind, "found": part["found"], "taken": part["taken"]} for kind, part in kinds]
        ),
    )
    files.write_json(preferences.make_records(taken, system, written, student), args.out)
    info = preferences.make_dataset_info(args.out.name, bool(written.tools))
    files.write_json(info, args.info)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
