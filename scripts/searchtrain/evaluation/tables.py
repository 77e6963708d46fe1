"""The tables of scores and gaps in the log: what a user sees last.

Invariant: they show what `metrics.json` has, and compute nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from searchtrain.core.text_table import format_table
from searchtrain.evaluation.conditions import format_conditions
from searchtrain.evaluation.gaps import CAUSES

SHOWN = {
    "n": "n", "EM strict": "em_strict", "95 %": "", "EM normalised": "em_normalised",
    "substring": "substring", "F1": "f1", "judge": "judge", "searches": "mean_searches",
    "unanswered": "unanswered",
}  # fmt: skip
"""Titles of the table of scores, and the scores below them; those of `95 %` are the interval of
strict exact match."""
GAPS = {
    "in retrieved": "retrieved", "in read": "read", "queries": "mean_calls", "forced": "forced",
    "no search": "without_search",
}  # fmt: skip
"""The same of the table of gaps, behind the causes."""


def format_metrics(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Scores, gaps and conditions of every split, as text."""
    return "\n".join(
        [
            format_scores(metrics),
            "",
            "what strict EM would gain if this alone were right, and where a golden answer stood:",
            format_gaps(metrics),
            "",
            *_list_conditions(metrics),
        ]
    )


def format_scores(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """A row per split, below it one per type and one per source, where the sources say more than
    the types."""
    judged = any("judge" in scores for scores in metrics.values())
    titles = {title: key for title, key in SHOWN.items() if key != "judge" or judged}
    return format_table(
        [
            {
                "split": name,
                **{
                    title: scores.get(key) if key else format_bounds(scores)
                    for title, key in titles.items()
                },
            }
            for name, scores in _list_parts(metrics)
        ]
    )


def format_gaps(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """A row per split, and of those that the product answers one per type or hops."""
    own = {
        name: scores if "_" not in name else {**scores, "by_type": {}, "by_hops": {}}
        for name, scores in metrics.items()
    }
    return format_table(
        [
            {
                "split": name,
                "EM strict": scores["em_strict"],
                **{cause: scores["gaps"]["gains"][cause] for cause in CAUSES},
                **{title: scores["gaps"][key] for title, key in GAPS.items()},
            }
            for name, scores in _list_parts(own)
        ]
    )


def format_bounds(scores: Mapping[str, Any], score: str = "em_strict") -> str:
    """The interval of a score."""
    low, high = scores["intervals"][score]
    return f"{low:.3f}-{high:.3f}"


def _list_parts(
    metrics: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every row of a table: its name and its scores."""
    for split, scores in metrics.items():
        yield split, scores
        parts = dict(scores["by_type"])
        if not parts:
            parts = {f"{hops} hops": part for hops, part in scores.get("by_hops", {}).items()}
        if len(scores["by_source"]) > 1:
            parts |= {f"source {key}": part for key, part in scores["by_source"].items()
                      if key not in parts}  # fmt: skip
        for name, part in parts.items():
            yield f"  {name}", part


def _list_conditions(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each of the different conditions, with the splits that had them."""
    lines = defaultdict(list)
    for split, scores in metrics.items():
        lines[format_conditions(scores["conditions"])].append(split)
    return [f"{', '.join(splits)}: {line}" for line, splits in lines.items()]
