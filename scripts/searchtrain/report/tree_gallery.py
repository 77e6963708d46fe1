"""A gallery of research trees: a few of each size that were kept, a few of each way to fail.

Invariant: every group says how many trees it has, and what others wrote is shown as text.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, StrictUndefined

from searchtrain.core.terminal import show_text
from searchtrain.trees.drawing import describe_candidates
from searchtrain.trees.verdicts import REASONS, name_reason

SHOWN = 3
"""Trees of a group that are drawn, the first of the table."""
LONGEST = 600
"""Characters of one text that are shown."""
KEPT, DROPPED, QUIT, CUT = "kept", "dropped", "given up", "cut short"
OPEN = "finished, not judged"
ORDER = (KEPT, DROPPED, OPEN, QUIT, CUT)
"""What became of a tree, the best first."""
FAULTS = {
    "untraceable": "a claim does not follow from the page it is made of",
    "over_determined": "a single claim fits one page alone, so the others ask for nothing",
    "implied": "whatever fits one claim fits another one, too",
    "leaf_leaks": "the name of a leaf holds one that the question may not tell",
    "link_not_on_page": "a page was added that its parent does not link to",
    "root_dropped": "the tree came back with another root",
    "old_node_changed": "a node that was there before came back changed",
    "claim_mismatch": "a claim does not speak of the nodes that it connects, or names one",
    "not_json": "the model's answer was no JSON object",
    "too_large": "the model's answer was too long to be read",
    "max_steps": "all its steps were spent",
}
"""What the kinds of `TreeFault` and `ReplyError` mean, those that are often seen."""


def draw_gallery(trees: pl.DataFrame, questions: pl.DataFrame, template: Path) -> str:
    """The page, complete in itself and without scripts.

    `trees`: `schemas.Trees`, all of them; `questions`: `schemas.TreeQuestions` of those that were
    finished; `template`: `report/gallery.html.jinja`.
    """
    judged = {row["id"]: row for row in questions.iter_rows(named=True)}
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in trees.iter_rows(named=True):
        row = judged.get(row["id"], row)
        groups.setdefault(_name_fate(row), []).append(row)
    order = sorted(groups, key=lambda title: (ORDER.index(title.partition(": ")[0]), title))
    kept = int(questions["kept"].sum())
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters["shown"] = _show
    page = environment.from_string(template.read_text(encoding="utf-8"))
    return page.render(
        about=f"{trees.height:,} trees, {questions.height:,} finished, {kept:,} questions kept;"
        f" of each group the first {SHOWN}",
        groups=[_make_group(title, groups[title]) for title in order],
    )


def nest(nodes: Sequence[Mapping[str, Any]], levels: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The nodes of a tree as its root with `children`; empty for a tree without nodes.

    `levels`: as in `schemas.Trees`, the deepest first; an inner node has the number of its level,
    the root's the highest.
    """
    numbers = {page: number for number, pages in enumerate(levels, 1) for page in pages}

    def build(node: Mapping[str, Any]) -> dict[str, Any]:
        children = [build(child) for child in nodes if child["parent"] == node["id"]]
        inner = bool(children) or not node["parent"]
        return {
            **node,
            "fits": describe_candidates(node),
            "level": numbers.get(node["page"]) if inner else None,
            "children": children,
        }

    return build(nodes[0]) if nodes else {}


def _name_fate(row: Mapping[str, Any]) -> str:
    """What became of a tree, in the words of its group's title."""
    if row["status"] == "truncated":
        return f"{CUT}: {row['fault']}"
    if row["status"] == "quit":
        return QUIT
    if "kept" not in row:
        return OPEN
    reason = name_reason(row)
    return f"{DROPPED}: {REASONS[reason]}" if reason else f"{KEPT}: {row['vertices']} vertices"


def _make_group(title: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    count = len(rows)
    said = f"{count:,} tree{'s' * (count != 1)}{f', {SHOWN} shown' * (count > SHOWN)}"
    fault = FAULTS.get(title.removeprefix(f"{CUT}: "), "")
    return {
        "title": title.replace("_", " "),
        "said": f"{said}; {fault}" if fault else said,
        "count": count,
        "trees": [_describe(row) for row in rows[:SHOWN]],
    }


def _describe(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "answer": " / ".join([row["answer"], *row["aliases"]]),
        "root": nest(row["nodes"], row["levels"]),
        "question": row.get("question"),
        "verdicts": [*_list_verdicts(row)],
    }


def _list_verdicts(row: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What each filter saw: its name, what it said, and `yes`, `no` or nothing."""
    status = {"done": "finished", "quit": "given up", "truncated": f"cut short ({row['fault']})"}
    yield "tree", f"{status[row['status']]} after {row['steps']} steps", ""
    if "kept" not in row:
        return
    if not row["question"]:
        yield "question", "none was written", "no"
    leak = row["leak"]
    yield "hidden names", f"gives away {leak!r}" if leak else "none", "no" if leak else "yes"
    if row["closed_book"]:
        answers = ", ".join(each or "no answer" for each in row["closed_book"])
        told = "wrong, so it is difficult" if row["difficult"] else "not difficult"
        yield "closed book", f"{answers}: {told}", "yes" if row["difficult"] else "no"
    if row["found"] or row["closed_book"]:
        found = ", ".join(row["found"]) or "nothing"
        told = "the one right answer" if row["verifiable"] else "not the one right answer"
        yield "verifier", f"{found}: {told}", "yes" if row["verifiable"] else "no"
    if row["error"]:
        yield "failure", row["error"], "no"
    reason = name_reason(row)
    verdict = f"dropped: {REASONS[reason]}" if reason else f"kept for {row['split']}"
    yield "verdict", verdict, "no" if reason else "yes"


def _show(text: str) -> str:
    """What others wrote: hidden characters spelt out, a long text cut."""
    return show_text(text, LONGEST)
