"""How many answers are right: exact match and F1 with intervals, searching against not searching.

Invariant: a score stands beside the interval that `metrics.json` gives it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from searchtrain.data.schemas import SPLITS, name_questions
from searchtrain.report.charts import draw_intervals
from searchtrain.report.figure import Figure, Table, Topic, format_count, name_labels
from searchtrain.report.palette import WAYS
from searchtrain.report.run import Run

METRICS = {
    "em_strict": "Exact match, strict",
    "em_normalised": "Exact match, normalised",
    "f1": "F1",
}
WAY_OF = {
    "": "searching",
    "closed_book": "closed-book",
    "untrained": "untrained",
    "retrieve_read": "one search",
}
"""The rest of a split's name -> how it was answered."""
Split = Mapping[str, Any]


def tell_scores(run: Run) -> Topic:
    """The topic: every split, then by type and by hops of the questions that were kept apart."""
    splits = list_splits(run)
    figures = [tell_splits(splits)]
    for split, noun in (("test", "test"), ("dev", "dev"), ("benchmarks", "benchmark")):
        if split not in splits or (split == "dev" and "test" in splits):
            continue
        for group, by in (("by_type", "type"), ("by_hops", "number of hops")):
            if len(splits[split].get(group, ())) > 1:
                figures.append(tell_groups(splits, split, group, f"{noun} questions by {by}"))
    return Topic("scores", "Scores", figures)


def tell_splits(splits: Mapping[str, Split]) -> Figure:
    """All splits, by each metric."""
    main = "test" if "test" in splits else "dev"
    strict = splits[main]["em_strict"]
    said = (
        f"The student answers {100 * strict:.1f} % of the {main} questions in exactly the words of"
        f" a golden answer"
    )
    for other, about in ((f"{main}_closed_book", "without searching"),
                         (f"{main}_untrained", "the untrained model")):  # fmt: skip
        if other in splits:
            said += f", {about} {100 * splits[other]['em_strict']:.1f} %"
    said += "."
    if any(split.endswith("retrieve_read") for split in splits):
        said += (
            " “One search” is the untrained model reading what one search for the question finds."
        )
    names = {split: name_split(split) for split in splits}
    charts = []
    for metric, title in METRICS.items():
        rows = [_make_row(names[split], split, part, metric) for split, part in splits.items()]
        charts.append((title, draw_intervals(rows, WAYS, score=title)))
    return Figure("Scores with their intervals of 95 %", said, charts)


def tell_groups(splits: Mapping[str, Split], split: str, group: str, about: str) -> Figure:
    """One split by type or hops, beside the other ways in which its questions were answered."""
    ways = [name for name in splits if name_questions(name) == split]
    parts = splits[split][group]
    names = dict(zip(parts, name_kinds(list(parts), group), strict=True))
    worst = min(parts, key=lambda key: parts[key]["em_strict"])
    said = (
        f"Weakest is {names[worst]}: {100 * parts[worst]['em_strict']:.1f} % strictly right,"
        f" F1 {100 * parts[worst]['f1']:.1f} %, of {format_count(parts[worst]['n'], 'questions')}."
    )
    charts = []
    for metric in ("em_strict", "f1"):
        rows = [
            _make_row(names[key], way, splits[way][group][key], metric)
            for key in parts
            for way in ways
            if key in splits[way].get(group, {})
        ]
        charts.append((METRICS[metric], draw_intervals(rows, WAYS, score=METRICS[metric])))
    return Figure(f"{about[0].upper()}{about[1:]}", said, charts)


def tabulate_scores(run: Run) -> Table:
    """The scores of every split in a table; a judge's where there is one."""
    rows = []
    splits = list_splits(run)
    judged = any("judge" in part for part in splits.values())
    for split, part in splits.items():
        low, high = part["intervals"]["em_strict"]
        rows.append([
            name_split(split), f"{part['n']:,}", f"{part['em_strict']:.3f}",
            f"{low:.3f} to {high:.3f}", f"{part['em_normalised']:.3f}", f"{part['f1']:.3f}",
            *([f"{part['judge']:.3f}" if part.get("judge") is not None else "-"] * judged),
            f"{part['mean_searches']:.1f}",
        ])  # fmt: skip
    header = ("answered", "n", "EM strict", "95 %", "EM normalised", "F1",
              *["judge"] * judged, "searches")  # fmt: skip
    return Table(header, rows)


def list_splits(run: Run) -> dict[str, Split]:
    """The splits that were scored: what the student answers searching first, test before dev."""
    scored = sorted(
        (split for split in run.metrics if split in SPLITS),
        key=lambda split: (split not in ("test", "dev", "benchmarks"), SPLITS.index(split)),
    )
    first = sorted(scored, key=lambda split: split != "test")
    return {split: run.metrics[split] for split in first}


def find_group(part: Mapping[str, Any]) -> str:
    """By what figures are given apart: type, or hops where types are not known."""
    return "by_type" if part.get("by_type") else "by_hops"


def name_kinds(kinds: Sequence[str], group: str) -> list[str]:
    """Types as they are; `by_hops` says what its numbers are."""
    if group == "by_hops":
        return ["1 hop" if kind == "1" else f"{kind} hops" for kind in kinds]
    return name_labels(kinds)


def name_split(split: str) -> str:
    """`test, closed-book`; searching goes without saying."""
    questions = name_questions(split)
    way = WAY_OF[split.removeprefix(questions).removeprefix("_")]
    return questions if way == "searching" else f"{questions}, {way}"


def _make_row(label: str, split: str, part: Split, metric: str) -> dict[str, Any]:
    low, high = part["intervals"][metric]
    way = WAY_OF[split.removeprefix(name_questions(split)).removeprefix("_")]
    return {"label": label, "value": part[metric], "low": low, "high": high, "kind": way,
            "n": part["n"], "text": f"{100 * part[metric]:.1f} %"}  # fmt: skip
