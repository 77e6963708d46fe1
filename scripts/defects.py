"""Measure which of the scripted teacher's mistakes curation catches (rule defects)."""

import logging
from pathlib import Path

from searchtrain.config.command import add_config_argument
from searchtrain.core import cli, files
from searchtrain.core.text_table import format_table
from searchtrain.data import schemas
from searchtrain.demo import defects

logger = logging.getLogger("defects")


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--trajectories", type=Path, required=True)
    parser.add_argument("--verdicts", type=Path, required=True, help="what curation wrote of them")
    parser.add_argument("--out", type=Path, required=True, help="the figures, JSON")
    add_config_argument(parser)
    args = cli.parse(parser)
    trajectories = schemas.read_table(args.trajectories, schemas.Trajectories)
    verdicts = schemas.read_table(args.verdicts, schemas.Verdicts)
    rates = args.config.models.teacher.scripted.tracked()
    measured = defects.measure_defects(trajectories, verdicts, rates)
    logger.info("defects:\n%s", format_table(defects.list_lines(measured)))
    files.write_json(measured, args.out)


if __name__ == "__main__":
    cli.run(main)
