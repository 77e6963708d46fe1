"""What each rule drops, as a table for the log.

Invariant: the rules stand in the order in which they are applied, so a line's rest is the next
one's input.
"""

from collections.abc import Iterable
from typing import Any

import polars as pl

from searchtrain.core.text_table import format_table
from searchtrain.curation.ranking import BEST, CAP
from searchtrain.curation.rules import QUESTION_RULES, RULES, Rule


def format_funnel(ranked: pl.DataFrame, rules: Iterable[str]) -> str:
    """What each rule drops, what it alone drops, and what is left after it.

    `ranked`: as from `rank_rollouts`; `rules`: those that are on, `CAP` among them if there is one.
    """
    judging = [name for name in rules if name != CAP]
    failures = pl.sum_horizontal(pl.lit(0), *(~pl.col(name) for name in judging))
    counted = ranked.with_columns(failures.alias("failures"))
    rows = [_make_line("rollouts", None, None, ranked)]
    left = ranked
    for name in judging:
        left = left.filter(name)
        failed = counted.filter(~pl.col(name))
        alone = failed.filter(pl.col("failures") == 1)
        rows.append(_make_line(name, failed.height, alone.height, left))
    best = left.filter(BEST)
    rows.append(_make_line("best of its question", left.height - best.height, None, best))
    if CAP in rules:
        kept = best.filter("kept")
        rows.append(_make_line(CAP, best.height - kept.height, None, kept))
    return format_table(rows)


def _make_line(
    name: str, failed: int | None, alone: int | None, left: pl.DataFrame
) -> dict[str, Any]:
    rule: Rule[Any] | None = RULES.get(name) or QUESTION_RULES.get(name)
    return {
        "rule": name,
        "dimension": rule.dimension if rule else None,
        "failed": failed,
        "failed only this": alone,
        "remaining": left.height,
        "questions": left["question_id"].n_unique(),
    }
