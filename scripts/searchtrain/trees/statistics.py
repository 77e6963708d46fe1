"""Tree questions in figures, in the shape of InfoSeek's table, and trees in InfoSeek's own form."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import polars as pl

from searchtrain.trees.tree import Node, unflatten


def describe_trees(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """One row per number of vertices and one for all (InfoSeek's table of its data set).

    `frame`: `schemas.TreeQuestions`. `failure_percent`: questions that no closed-book try answered,
    of those that were tried, None if none was; `dollars` is a sum, words are means (InfoSeek
    counts tokens) over the questions that there are.
    """
    groups = [
        (str(vertices), frame.filter(pl.col("vertices") == vertices))
        for vertices in sorted(frame["vertices"].unique())
    ]
    return [_describe(name, part) for name, part in [*groups, ("all", frame)]]


def make_infoseek_rows(frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The trees as records of InfoSeek's JSON Lines: `root`, `all_tree_states`, `hop_num`.

    `frame`: `schemas.WrittenTrees`. `href` is the percent-encoded title, as InfoSeek's page index
    has it; an attribute has its parent's. Earlier states have no question of their own here.
    """
    for row in frame.iter_rows(named=True):
        nodes = row["nodes"]
        states = [
            _export(unflatten(nodes[:size]), row["question"] if size == len(nodes) else "")
            for size in range(2, len(nodes) + 1)
        ]
        if states:
            yield {"root": states[-1], "all_tree_states": states, "hop_num": len(states)}


def _describe(name: str, part: pl.DataFrame) -> dict[str, Any]:
    asked = part.filter(pl.col("closed_book").list.len() > 0)
    written = part.filter(pl.col("question") != "")
    return {
        "vertices": name,
        "count": part.height,
        "failure_percent": _round(asked["difficult"].mean(), 100),
        "dollars": round(float(part["cost"].sum()), 6),
        "question_words": _count_words(written, "question"),
        "answer_words": _count_words(written, "answer"),
    }


def _count_words(part: pl.DataFrame, column: str) -> float | None:
    return _round(part[column].str.count_matches(r"\S+").mean(), 1)


def _round(mean: Any, factor: float) -> float | None:
    return None if mean is None else round(mean * factor, 2)


def _export(node: Node, question: str | None, href: str = "") -> dict[str, Any]:
    href = quote(node.entity.strip(), safe="") if node.entity else href
    root = {} if question is None else {"question": question}
    return {
        "id": node.id,
        "entity": node.entity or "None",
        "href": href,
        **root,
        "claims": [{"target_id": claim.target_id, "claim": claim.text} for claim in node.claims],
        "children": [_export(child, None, href) for child in node.children],
    }
