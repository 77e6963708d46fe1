"""What curation's rules say: each alone, together, and how their values are spread."""

from collections import Counter

import polars as pl

from searchtrain.curation.ranking import CAP
from searchtrain.report.bins import count_bins
from searchtrain.report.charts import draw_bars, draw_histogram
from searchtrain.report.figure import Figure, Table, Topic, format_count, format_share
from searchtrain.report.palette import FAILED, PASSED
from searchtrain.report.run import Run

COMBINATIONS = 6
"""Sets of rules that a table shows."""


def tell_verdicts(run: Run, judged: pl.DataFrame) -> Topic:
    """The topic; `judged` as from `judge_run`."""
    rules = [rule for rule in run.verdicts["rule"].unique(maintain_order=True) if rule != CAP]
    failed = judged.select(pl.col("failed").list.set_difference(pl.lit([CAP])).alias("failed"))[
        "failed"
    ]
    figures = [tell_each(rules, failed, judged.height)]
    if together := tell_together(failed):
        figures.append(together)
    if values := tell_values(run.verdicts, rules):
        figures.append(values)
    return Topic("verdicts", "Verdicts of the rules", figures)


def tell_each(rules: list[str], failed: pl.Series, rollouts: int) -> Figure:
    """How many rollouts fail each rule, and how many fail no other."""
    every = Counter(rule for rules_failed in failed for rule in rules_failed)
    alone = Counter(rules_failed[0] for rules_failed in failed if len(rules_failed) == 1)
    rows = []
    for rule in rules:
        if not every[rule]:
            continue
        text = f"{every[rule]:,}"
        for kind, count in (
            ("only this rule", alone[rule]),
            ("and others", every[rule] - alone[rule]),
        ):
            rows.append({"label": rule, "value": count, "kind": kind, "text": text})
    idle = [rule for rule in rules if not every[rule]]
    dropped = int((failed.list.len() > 0).sum())
    said = (
        f"{format_count(dropped)} of {format_count(rollouts, 'rollouts')}"
        f" ({format_share(dropped, rollouts)}) fail a rule,"
        f" {format_count(sum(alone.values()))} of them exactly one."
    )
    if idle:
        said += f" No rollout fails {', '.join(idle)}."
    order = {"only this rule": FAILED["only this rule"], "and others": FAILED["and others"]}
    charts = [("", draw_bars(rows, order, axis="rollouts that fail it"))] if rows else []
    return Figure("Each rule", said, charts)


def tell_together(failed: pl.Series) -> Figure | None:
    """Which rules fail together most often."""
    sets = Counter(tuple(rules) for rules in failed if len(rules) > 1)
    if not sets:
        return None
    top = sets.most_common(COMBINATIONS)
    whole = sum(sets.values())
    rows = [[" + ".join(rules), f"{count:,}"] for rules, count in top]
    return Figure(
        "Rules that fail together",
        f"{format_count(whole, 'rollouts')} fail more than one rule; the most frequent set has"
        f" {format_count(top[0][1])} of them.",
        table=Table(("rules", "rollouts"), rows),
    )


def tell_values(verdicts: pl.DataFrame, rules: list[str]) -> Figure | None:
    """How the values of rules that compare a number are spread, with their thresholds."""
    charts = []
    for rule in rules:
        part = verdicts.filter((pl.col("rule") == rule) & pl.col("value").is_not_null())
        if part["value"].is_in([0.0, 1.0]).all():
            continue  # it only holds or not
        line = float(part["threshold"][0])
        rows = count_bins(part["value"], part["passed"], ("fails", "passes"), line)
        if len({row["low"] for row in rows}) < 2:
            continue
        values = part["value"]
        chart = draw_histogram(
            rows, PASSED, axis=f"{rule} (threshold {line:g})", counted="rollouts", line=line,
            whole=bool((values == values.round()).all()),
        )  # fmt: skip
        charts.append((rule, chart))
    if not charts:
        return None
    return Figure(
        "Values and thresholds",
        f"{format_count(len(charts), 'rules')} compare a number with a threshold, the dashed line:"
        " far from it the rule is easy to pass or to fail, close to it another threshold would"
        " change much.",
        charts,
    )
