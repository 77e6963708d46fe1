"""From seeds to training rows: how many are left after each step, and why the others are not.

Invariant: what a step drops is dropped for one reason each, the first that holds.
"""

import polars as pl

from searchtrain.report.charts import draw_bars
from searchtrain.report.figure import Figure, Topic, format_count, format_share
from searchtrain.report.palette import BAD, UNITS
from searchtrain.report.run import Run

REASONS = {
    "duplicate": "repeats a seed",
    "equal_in_dev": "stands in dev",
    "ngram_in_dev": "overlaps dev",
    "equal_in_test": "stands in test",
    "ngram_in_test": "overlaps test",
}
"""Why a seed is left out, in words (`seeds_report.json`)."""


def tell_funnel(run: Run, judged: pl.DataFrame) -> Topic:
    """The steps and the reasons; `judged` as from `judge_run`."""
    steps = list_steps(run, judged)
    lost = list_losses(run, judged)
    seeds, records = run.seeds["rows_in"], run.records["records"]
    said = (
        f"{format_count(seeds, 'seed questions')} became"
        f" {format_count(records, 'training records')}:"
        f" {format_share(int(judged['kept'].sum()), judged.height)} of"
        f" {format_count(judged.height, 'rollouts')} are kept."
    )
    figures = [
        Figure(
            "From seeds to training rows",
            said,
            [("", draw_bars([
                {"label": label, "value": count, "kind": unit, "text": f"{count:,}"}
                for label, count, unit in steps
            ], UNITS))],
        )
    ]  # fmt: skip
    if lost:
        most = max(lost, key=lambda each: each[1])
        figures.append(
            Figure(
                "What was left out, and why",
                f"Each counts once, under the first reason that holds. The most,"
                f" {format_count(most[1])}, are left out here: {most[0]}.",
                [("", draw_bars([
                    {"label": label, "value": count, "kind": "dropped", "text": f"{count:,}"}
                    for label, count in lost
                ], {"dropped": BAD}))],
            )
        )  # fmt: skip
    return Topic("funnel", "Funnel", figures)


def list_steps(run: Run, judged: pl.DataFrame) -> list[tuple[str, int, str]]:
    """Each step's name, how many there are after it, and of what (of `UNITS`)."""
    counts = run.sampling["questions"]
    steps = [
        ("seed questions", run.seeds["rows_in"], "questions"),
        ("usable seeds", run.seeds["rows_out"], "questions"),
        ("tagged", counts["tagged"], "questions"),
        ("sampled", counts["after"], "questions"),
    ]
    if trees := run.questions.get("tree", {}).get("rows"):
        steps.append(("with tree questions", counts["after"] + trees, "questions"))
    steps.append(("rollouts", judged.height, "rollouts"))
    if judged["right"].null_count() < judged.height:
        steps.append(("right answers", int(judged["right"].sum()), "rollouts"))
    passed = judged.filter(pl.col("failed").list.len() == 0)
    steps += [
        ("pass every rule", passed.height, "rollouts"),
        ("kept", int(judged["kept"].sum()), "rollouts"),
        ("training records", run.records["records"], "records"),
    ]
    return steps


def list_losses(run: Run, judged: pl.DataFrame) -> list[tuple[str, int]]:
    """Why questions and rollouts are left out, in the order of the steps, with how many."""
    counts = run.sampling["questions"]
    reasons = run.seeds["reasons"]
    lost = [(REASONS.get(name, name), count) for name, count in reasons.items()]
    lost += [
        ("no tags", run.seeds["rows_out"] - counts["tagged"]),
        ("question tagged twice", counts["repeated"]),
        ("not sampled", counts["before"] - counts["after"]),
    ]
    first = judged.select(pl.col("failed").list.first().alias("rule")).drop_nulls()
    order = run.verdicts["rule"].unique(maintain_order=True).to_list()
    failed = dict(first.group_by("rule").len().iter_rows())
    lost += [(f"rule {rule}", failed.get(rule, 0)) for rule in order]
    spare = judged.filter((pl.col("failed").list.len() == 0) & ~pl.col("kept"))
    lost.append(("a better rollout kept", spare.height))
    return [(name, count) for name, count in lost if count > 0]
