"""What rollouts of a few questions say of the rest: yield, lengths, speed (rule pilot)."""

from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.curation import choice
from searchtrain.data import schemas
from searchtrain.task import pilot, timings


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("trajectories", "report", "out", timings="folder of its <rule>.tsv")
    args = parser.parse()
    rows = schemas.read_table(args.trajectories, schemas.Trajectories)
    accept = choice.make_acceptance(args.config.curate)
    accepted = [accept(row) for row in rows.iter_rows(named=True)]
    taken = timings.read_timings(args.timings)
    hours = [taken[job] for job in taken if job.split("/")[0] == "trajectories"]
    report = files.read_json(args.report)
    measured = pilot.measure_pilot(rows, accepted, report, hours, args.config)
    cli.logger.info("%s", pilot.format_pilot(measured))
    files.write_json(measured, args.out)


if __name__ == "__main__":
    cli.run(main)
