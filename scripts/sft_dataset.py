"""Write the curated rollouts, and what is mixed in, as LLaMA-Factory's data set
(rule sft_dataset)."""

import logging
from pathlib import Path

import polars as pl

from searchtrain.config import describe_limits
from searchtrain.config.command import add_config_argument
from searchtrain.core import cli, files
from searchtrain.core.text_table import format_table
from searchtrain.data import schemas
from searchtrain.models.prompts import render_prompt
from searchtrain.training import mixing, sharegpt

logger = logging.getLogger("sft_dataset")


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument(
        "--curated", type=Path, nargs="+", required=True, help="of one round or more"
    )
    parser.add_argument("--prompt", type=Path, required=True, help="the student's system prompt")
    parser.add_argument("--mix", type=Path, help="other chat data; config has ratio and seed")
    parser.add_argument("--questions", type=Path, help="every record must trace to a seed of these")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--info", type=Path, required=True, help="dataset_info.json, beside --out")
    parser.add_argument("--report", type=Path, help="sft_report.json")
    add_config_argument(parser)
    args = cli.parse(parser)
    config = args.config
    system = render_prompt(args.prompt, **describe_limits(config.predict.limits))
    curated = pl.concat(schemas.read_table(path, schemas.Curated) for path in args.curated)
    if args.questions:
        if args.mix:
            parser.error("--mix holds what traces to no seed question: leave it or --questions out")
        questions = schemas.read_table(args.questions, schemas.Questions)
        sharegpt.check_origins(curated, questions, config.task.teacher, config.trees.enabled)
    records = {"search": sharegpt.make_records(curated, system)}
    mixed = None
    if args.mix:
        records["mixed"], mixed = mixing.mix_records(args.mix, curated.height, config.mix)
    report = sharegpt.make_report(records, mixed)
    logger.info(
        "records:\n%s",
        format_table([{"origin": name, **part} for name, part in report["origins"].items()]),
    )
    files.write_json([record for part in records.values() for record in part], args.out)
    files.write_json(sharegpt.make_dataset_info(args.out.name), args.info)
    if args.report:
        files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
