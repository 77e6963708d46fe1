"""Draw what a run did: one page with all figures, and one for each topic (rule figures)."""

from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.config import Config
from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.report.contents import tell_run
from searchtrain.report.page import Page
from searchtrain.report.run import PREDICTIONS, ROLLOUTS, Run
from searchtrain.report.scores import tabulate_scores
from searchtrain.task.timings import read_timings


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths(
        seeds="seeds_report.json",
        sampling="sampling_report.json",
        questions="questions_report.json",
        trajectories="trajectories.parquet",
        verdicts="curation.parquet",
        records="sft_report.json",
        yields="yield.json",
        checkpoint="folder of the student, for its manifest.json",
        metrics="metrics.json",
        template="of a page",
        library="folder of vega, vega-lite and vega-embed",
        results="folder of the run: what it has besides is drawn, too",
        timings="folder of <rule>.tsv",
        out="folder of the pages",
    )
    parser.add_paths("predictions", many=True)
    parser.add_argument("--costs", type=Path, nargs="*", default=(), help="reports with costs")
    args = parser.parse()
    run = Run(
        config=args.config,
        seeds=files.read_json(args.seeds),
        sampling=files.read_json(args.sampling),
        questions=files.read_json(args.questions),
        rollouts=schemas.read_columns(args.trajectories, schemas.Trajectories, ROLLOUTS),
        verdicts=schemas.read_table(args.verdicts, schemas.Verdicts),
        records=files.read_json(args.records),
        yields=files.read_json(args.yields),
        checkpoint=read_optional(args.checkpoint / "manifest.json"),
        metrics=files.read_json(args.metrics),
        predictions=pl.concat(
            schemas.read_columns(path, schemas.Predictions, PREDICTIONS)
            for path in args.predictions
        ),
        costs={name_stage(path, args.results): files.read_json(path) for path in args.costs},
        hours=read_timings(args.timings),
        history=read_history(args.results / "grpo/history.jsonl"),
        plan=read_optional(args.results / "plan.json"),
        spent=read_optional(args.results / "hours.json"),
    )
    topics = tell_run(run)
    page = Page(args.template, args.library)
    about = describe_run(args.config, args.results)
    files.write_text(
        page.render("What this run did", about, topics, tabulate_scores(run)),
        args.out / "overview.html",
    )
    cli.logger.info("overview.html, and %d pages of one topic each", len(topics))
    for topic in topics:
        files.write_text(page.render(topic.title, about, [topic]), args.out / f"{topic.name}.html")


def describe_run(config: Config, results: Path) -> str:
    """Of which questions and which student."""
    train, base = (
        path.replace("<results>", str(results)) for path in (config.data.train, config.train.base)
    )
    return f"{results}: questions of {train}, a student that started from {base}"


def name_stage(report: Path, results: Path) -> str:
    """The stage that wrote a report: `rounds/2/trajectories`."""
    inside = report.relative_to(results) if report.is_relative_to(results) else Path(report.name)
    return inside.as_posix().removesuffix("_report.json")


def read_optional(file: Path) -> dict[str, Any]:
    """A report, where the run has it."""
    found: dict[str, Any] = files.read_json(file) if file.is_file() else {}
    return found


def read_history(file: Path) -> list[dict[str, Any]]:
    """GRPO's steps, where the run has them."""
    return [row for _, row in files.read_jsonl(file)] if file.is_file() else []


if __name__ == "__main__":
    cli.run(main)
