"""Write the curated rollouts, and what is mixed in, as LLaMA-Factory's data set
(rule sft_dataset)."""

from searchtrain.agent.formats import open_format
from searchtrain.config import describe_limits
from searchtrain.config.command import Parser
from searchtrain.config.rounds import plan_rows
from searchtrain.core import cli, files
from searchtrain.core.text_table import format_table
from searchtrain.data import schemas
from searchtrain.models.prompts import render_prompt
from searchtrain.models.role import make_role
from searchtrain.training import mixing, rows, sharegpt
from searchtrain.training.records import ALL, TRAINED


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths(many=True, curated="of one round or more")
    parser.add_paths(
        "out", prompt="the student's system prompt", info="dataset_info.json, beside --out"
    )
    parser.add_paths(
        required=False,
        mix="other chat data; config has ratio and seed",
        questions="every record must trace to a seed of these",
        read_prompt="the reader's system prompt; without it there are no reader rows",
        report="sft_report.json",
    )
    parser.add_argument("--place", default="", help="of the data set: a candidate's trials/<name>/")
    args = parser.parse()
    config = args.config
    further = plan_rows(config, args.place)
    form = config.models.student.format
    system = render_prompt(args.prompt, **describe_limits(config.predict.limits, form))
    student = make_role(config, "student", config.models.student.sampling)
    written = open_format(form, student)
    curated = schemas.read_tables(args.curated, schemas.Curated)
    if args.questions:
        if args.mix:
            parser.error("--mix holds what traces to no seed question: leave it or --questions out")
        questions = schemas.read_table(args.questions, schemas.Questions)
        sharegpt.check_origins(curated, questions, config.task.teacher, config.trees.enabled)
    records = {"search": sharegpt.make_records(curated, system, written, student)}
    if answers := rows.make_answer_rows(records["search"], further):
        records["answers"] = answers
    if args.read_prompt:
        asked = render_prompt(args.read_prompt)
        records["reader"] = rows.make_reader_rows(curated, asked, further, student)
    mixed = None
    if args.mix:
        records["mixed"], mixed = mixing.mix_records(args.mix, curated.height, config.mix)
    # Every record has the same columns.
    if written.tools:
        records = {name: rows.fill_column(part, "tools", "") for name, part in records.items()}
    if answers:
        records = {name: rows.fill_column(part, TRAINED, ALL) for name, part in records.items()}
    report = sharegpt.make_report(records, mixed, sharegpt.count_answers(curated))
    cli.logger.info(
        "%d records:\n%s",
        report["records"],
        format_table([{"origin": name, **part} for name, part in report["origins"].items()]),
    )
    files.write_json([record for part in records.values() for record in part], args.out)
    files.write_json(sharegpt.make_dataset_info(args.out.name, bool(written.tools)), args.info)
    if args.report:
        files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
