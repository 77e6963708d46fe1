"""Write every rollout of a run for Inspect AI's viewer, with a table to search them
(rule transcripts)."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from searchtrain.config.command import Parser
from searchtrain.config.rounds import read_round
from searchtrain.core import cli, files
from searchtrain.data import question_file, schemas
from searchtrain.export import parts, transcripts

ROLLOUTS, VERDICTS, CURATED = "trajectories.parquet", "curation.parquet", "curated.parquet"
PREDICTIONS, SCORES = "predictions.parquet", "scores.parquet"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths(
        many=True,
        tables=f"{ROLLOUTS}, {VERDICTS}, {CURATED}, {PREDICTIONS}, {SCORES} of one run, those that"
        " there are; what lies in one folder belongs together",
    )
    parser.add_paths(out="folder")
    parser.add_paths(
        required=False,
        types="object {id: type}",
        answers="array of {id, golden_answers}, of the test file's questions",
    )
    args = parser.parse()
    types = question_file.load_types(args.types) if args.types else {}
    answers = question_file.load_answers(args.answers) if args.answers else None
    golden = dict(answers.select("id", "golden_answers").iter_rows()) if answers is not None else {}
    found: dict[Path, dict[str, Path]] = {}
    for table in args.tables:
        found.setdefault(table.parent, {})[table.name] = table
    root = min(found, key=lambda folder: len(folder.parts))
    shown, position = [], 0
    rounds = {1 if folder == root else read_round(folder.name): folder
              for folder, names in found.items() if ROLLOUTS in names}  # fmt: skip
    for number, folder in sorted(rounds.items()):
        curated = read(found[folder], CURATED, schemas.Curated)
        shown.append(
            parts.find_teacher_part(
                schemas.read_table(found[folder][ROLLOUTS], schemas.Trajectories),
                read(found[folder], VERDICTS, schemas.Verdicts), curated, types, number, position,
                args.config.models.teacher.price,
            )
        )  # fmt: skip
        if args.config.rounds.data == "all" and curated is not None:
            position += curated.height
    for folder, names in found.items():
        if PREDICTIONS in names:
            # Those of the untrained model stand among the product's.
            scores = read({**found[root], **names}, SCORES, schemas.Scores)
            if scores is None:
                scores = schemas.empty_table(schemas.Scores)
            student = folder.relative_to(root).as_posix().removeprefix(".")
            rows = schemas.read_table(names[PREDICTIONS], schemas.Predictions)
            shown += parts.find_student_parts(rows, scores, golden, types, student)
    made = max(table.stat().st_mtime for table in args.tables)
    with files.replace_folder(args.out) as partial:
        count = transcripts.write_transcripts(shown, made, partial, args.config.refine.enabled)
    cli.logger.info("%d rollouts in %s", count, args.out)


def read(names: Mapping[str, Path], name: str, table: type[schemas.Table]) -> pl.DataFrame | None:
    """One table of a folder, if it is there."""
    return schemas.read_table(names[name], table) if name in names else None


if __name__ == "__main__":
    cli.run(main)
