"""Two runs side by side on the same questions, with paired intervals.

Of 1,000 questions at an EM of .40 a score alone is uncertain by .03; the difference of two runs on
the same questions by less, as both find the same ones hard. Invariant: only questions that both
runs answered are compared, and a difference is how far the second is ahead of the first.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.config.section import name_values
from searchtrain.core.errors import InputError
from searchtrain.core.files import read_json
from searchtrain.core.text_table import format_table
from searchtrain.data.schemas import Scores, read_table
from searchtrain.evaluation.gaps import CAUSES
from searchtrain.evaluation.intervals import Interval, bootstrap_means
from searchtrain.evaluation.scores import SCORES

RESAMPLES = 9999
"""Of a comparison: scipy's default."""
GROUPS = {"by_type": "type", "by_hops": "hops", "by_source": "source"}


def compare_paired(a: Iterable[float], b: Iterable[float], *, seed: int = 1) -> Interval:
    """How far `b` is ahead of `a` on average, with the interval of the paired bootstrap.

    `a`, `b`: a score of each question, in the same order; truth values are 0 and 1. Raises
    InputError for none, or another number of them.
    """
    first, second = (pl.Series(list(each), dtype=pl.Float64) for each in (a, b))
    if first.len() != second.len() or first.is_empty():
        raise InputError(
            f"comparison: {first.len()} scores against {second.len()}; give one of each question"
            " in both runs"
        )
    (found,) = bootstrap_means((second - first).to_numpy(), resamples=RESAMPLES, seed=seed)
    return found


def compare_folders(
    a: Path, b: Path, splits: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """Compare two folders of results by their `scores.parquet` and `metrics.json`.

    `splits`: split of `a` -> split of `b`; None: those of the same name that both have. Returns for
    each split what `compare_scores` does and `conditions`: what differs in them, (a's, b's) by
    name. Raises InputError when the folders have no split or no question in common.
    """
    tables = [read_table(folder / "scores.parquet", Scores) for folder in (a, b)]
    metrics = [read_json(folder / "metrics.json") for folder in (a, b)]
    held = [table["split"].unique(maintain_order=True).to_list() for table in tables]
    pairs = splits or {split: split for split in held[0] if split in held[1]}
    for folder, names, wanted in zip((a, b), held, ([*pairs], [*pairs.values()]), strict=True):
        missing = [split for split in wanted if split not in names]
        if missing or not pairs:
            raise InputError(
                f"{folder / 'scores.parquet'}: has {', '.join(names) or 'no split'}"
                f" and not {', '.join(missing) or 'what the other folder has'}"
            )
    report = {}
    for first, second in pairs.items():
        own, other = (
            table.filter(pl.col("split") == split)
            for table, split in zip(tables, (first, second), strict=True)
        )
        name = first if first == second else f"{first} / {second}"
        report[name] = {
            **compare_scores(own, other, (f"{a}: {first}", f"{b}: {second}")),
            "conditions": list_differences(
                [metrics[0][first].get("conditions", {}), metrics[1][second].get("conditions", {})]
            ),
        }
    return report


def compare_scores(
    a: pl.DataFrame, b: pl.DataFrame, places: Sequence[str] = ("a", "b")
) -> dict[str, Any]:
    """Compare two tables of scores, one row a question.

    Returns `n` (questions in both), `left_out` (those in only one, by run), for each of `SCORES`
    its mean in both and the difference (mean, low, high), for each cause how many more wrong
    answers `b` has of it, and the same by type, hops and source. `places`: for messages.
    """
    pairs = a.join(b, on="question_id", suffix="_b", maintain_order="left")
    if pairs.is_empty():
        raise InputError(
            f"{places[0]} and {places[1]}: no question is in both; compare runs on the same file"
        )
    groups = {
        name: {
            str(value): _compare_pairs(pairs.filter(pl.col(column) == value))
            for value in pairs[column].drop_nulls().unique().sort()
        }
        for name, column in GROUPS.items()
    }
    left_out = {"a": a.height - pairs.height, "b": b.height - pairs.height}
    return {**_compare_pairs(pairs), "left_out": left_out, **groups}


def list_differences(values: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """What differs between nested values: dotted name -> that of each, None where one has none."""
    flat = [name_values(each) for each in values]
    names = dict.fromkeys(name for each in flat for name in each)
    columns = {name: [each.get(name) for each in flat] for name in names}
    return {name: row for name, row in columns.items() if any(each != row[0] for each in row)}


def format_comparison(
    report: Mapping[str, Mapping[str, Any]], names: Sequence[str] = ("a", "b")
) -> str:
    """The report as text; `names`: of the two runs."""
    rows = []
    for split, found in report.items():
        rows.append(_make_line(split, found, names))
        kinds = "by_type" if found["by_type"] else "by_hops"
        rows += [_make_line(f"  {name}", part, names) for name, part in found[kinds].items()]
    lines = [format_table(rows), ""]
    for split, found in report.items():
        differences = found["conditions"]
        left_out = dict(zip(names, found["left_out"].values(), strict=True))
        if sum(left_out.values()):
            lines.append(f"{split}: left out, as only one run has them: {left_out}")
        lines.append(f"{split}: {'conditions differ:' if differences else 'the same conditions'}")
        lines += [f"  {key}: {_show(first)} -> {_show(second)}"
                  for key, (first, second) in differences.items()]  # fmt: skip
    return "\n".join(lines)


def judge_interval(interval: Mapping[str, float], names: Sequence[str] = ("a", "b")) -> str:
    """Who is ahead: the first, the second, or nobody that one could tell."""
    if interval["low"] > 0:
        return names[1]
    return names[0] if interval["high"] < 0 else "-"


def _compare_pairs(pairs: pl.DataFrame) -> dict[str, Any]:
    columns = {name: (pairs[name], pairs[f"{name}_b"]) for name in SCORES}
    causes = {
        cause: int((pairs["cause_b"] == cause).sum()) - int((pairs["cause"] == cause).sum())
        for cause in CAUSES
    }
    return {
        "n": pairs.height,
        **{
            name: {
                "a": round(float(a.cast(pl.Float64).sum()) / a.len(), 6),
                "b": round(float(b.cast(pl.Float64).sum()) / b.len(), 6),
                "difference": compare_paired(a, b)._asdict(),
            }
            for name, (a, b) in columns.items()
        },
        "causes": causes,
    }


def _make_line(name: str, part: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    strict = part["em_strict"]
    difference = strict["difference"]
    return {
        "split": name,
        "n": part["n"],
        f"EM strict {names[0]}": strict["a"],
        names[1]: strict["b"],
        f"{names[1]} - {names[0]}": difference["mean"],
        "95 %": f"{difference['low']:+.3f} {difference['high']:+.3f}",
        "ahead": judge_interval(difference, names),
        "EM normalised": part["em_normalised"]["difference"]["mean"],
        "F1": part["f1"]["difference"]["mean"],
        **part["causes"],
    }


def _show(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."
