"""Measure which of the scripted teacher's mistakes curation catches (rule defects)."""

from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.core.text_table import format_table
from searchtrain.data import schemas
from searchtrain.demo import defects


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths(
        "trajectories", verdicts="what curation wrote of them", out="the figures, JSON"
    )
    args = parser.parse()
    trajectories = schemas.read_table(args.trajectories, schemas.Trajectories)
    verdicts = schemas.read_table(args.verdicts, schemas.Verdicts)
    rates = args.config.models.teacher.scripted.tracked()
    measured = defects.measure_defects(trajectories, verdicts, rates)
    cli.logger.info("defects:\n%s", format_table(defects.list_lines(measured)))
    files.write_json(measured, args.out)


if __name__ == "__main__":
    cli.run(main)
