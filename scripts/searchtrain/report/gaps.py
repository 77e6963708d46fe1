"""The gap meter: what exact match lacks and why, of the student and of its teacher."""

from searchtrain.evaluation.gaps import CAUSES
from searchtrain.report import palette
from searchtrain.report.charts import draw_bars
from searchtrain.report.figure import Chart, Figure, Table, Topic
from searchtrain.report.run import Report, Run
from searchtrain.report.scores import find_group, list_splits, name_kinds

MEANT = {
    "form": "it means a golden answer and is written otherwise",
    "stopping": "there is no answer, or one that was forced or that no search came before",
    "retrieval": "no golden answer stood in what was read",
    "reading": "a golden answer stood there, and another was given",
}
"""What each cause says of a wrong answer (`evaluation.gaps`)."""


def tell_gaps(run: Run) -> Topic:
    """The topic: teacher and student, the student also by type."""
    named = {"teacher": run.yields}
    splits = list_splits(run)
    named |= {f"student, {name}": splits[name] for name in ("test", "dev", "benchmarks")
              if name in splits}  # fmt: skip
    main = "test" if "test" in splits else "dev"
    gains = splits[main]["gaps"]["gains"]
    lacking = sum(gains.values())
    worst = max(gains, key=lambda cause: gains[cause])
    said = f"On {main} strict exact match lacks {100 * lacking:.1f} points"
    said += (
        f", most of it ({100 * gains[worst]:.1f}) by {worst}: {MEANT[worst]}." if lacking else "."
    )
    figures = [
        Figure("What is missing, and why", said, [("", draw_gaps(named))]),
        Figure(
            "What each would bring",
            "Every wrong answer has one cause, so that each figure is what exact match would gain"
            " if this alone were right, in points.",
            table=Table(
                ("of", *CAUSES, "right"),
                [
                    [name, *(f"{100 * part['gaps']['gains'][cause]:.1f}" for cause in CAUSES),
                     f"{100 * part['em_strict']:.1f}"]
                    for name, part in named.items()
                ],
            ),
        ),
    ]  # fmt: skip
    group = find_group(splits[main])
    parts = splits[main].get(group, {})
    kinds = dict(zip(name_kinds(list(parts), group), parts.values(), strict=True))
    if len(kinds) > 1 and lacking:
        title = f"The student on {main}, by kind of question"
        figures.append(Figure(title, "The same, for each kind alone.", [("", draw_gaps(kinds))]))
    return Topic("gaps", "Gap meter", figures)


def draw_gaps(parts: dict[str, Report]) -> Chart:
    """One bar for each part: the share of its answers that is wrong, by cause."""
    rows = [
        {
            "label": label,
            "kind": cause,
            "value": part["gaps"]["gains"][cause],
            "text": f"{100 * sum(part['gaps']['gains'].values()):.1f} %",
        }
        for label, part in parts.items()
        for cause in CAUSES
    ]
    return draw_bars(rows, palette.CAUSES, axis="answers that are wrong", percent=True)
