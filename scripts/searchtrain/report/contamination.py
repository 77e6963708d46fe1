"""Contamination: questions left out because they repeat others or stand in dev or test."""

from searchtrain.report.figure import Figure, Table, Topic, format_count, format_share
from searchtrain.report.funnel import REASONS
from searchtrain.report.run import Run


def tell_contamination(run: Run) -> Topic:
    """The topic: one table, with a column for tree questions where there are some."""
    seeds, trees = run.seeds["reasons"], run.questions.get("tree", {}).get("reasons", {})
    held_out = sum(count for name, count in seeds.items() if "_in_" in name)
    ngram = run.seeds["ngram"]
    said = (
        f"{format_count(held_out)} of {format_count(run.seeds['rows_in'], 'seeds')}"
        f" ({format_share(held_out, run.seeds['rows_in'])}) were left out because a dev or test"
        f" question is the same"
    )
    said += f" or shares {ngram} words in a row with it" if ngram else ""
    said += f"; {seeds.get('duplicate', 0) or 'none'} repeated another seed."
    if ngram and run.seeds["phrase_count"]:
        said += (
            f" Words that at least {run.seeds['phrase_count']} seeds share are a turn of phrase and"
            " no overlap."
        )
    header = ("left out because the question", "seeds", *["tree questions"] * bool(trees))
    rows = [
        [REASONS.get(name, name), f"{count:,}", *[f"{trees.get(name, 0):,}"] * bool(trees)]
        for name, count in seeds.items()
    ]
    figure = Figure("Duplicates and overlap", said, table=Table(header, rows))
    return Topic("contamination", "Contamination", [figure])
