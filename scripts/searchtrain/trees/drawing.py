"""A research tree in lines of text.

Invariant: every node of the tree has its line, in the order of a walk from the root.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Nodes = Sequence[Mapping[str, Any]]
"""As in `schemas.Trees`."""


def draw_tree(nodes: Nodes) -> list[str]:
    """The tree with its claims; how many pages of the corpus fit a node's claims stands behind."""
    return [*_draw(nodes, root, "", "")] if (root := next(iter(nodes), None)) else []


def describe_candidates(node: Mapping[str, Any]) -> str:
    """How many pages of the corpus fit all claims of an inner node; empty where unknown."""
    count = node["candidates"]
    return "" if count < 0 else f"{count:,} page{'s' * (count != 1)} fit{'s' * (count == 1)}"


def _draw(nodes: Nodes, node: Mapping[str, Any], head: str, below: str) -> Iterator[str]:
    fits = describe_candidates(node)
    said = f"{node['id']} {node['entity'] or 'a fact'} ({node['kind']}{', ' * bool(fits)}{fits})"
    yield f"{head}{said}" + (f": {node['claim']}" if node["claim"] else "")
    children = [child for child in nodes if child["parent"] == node["id"]]
    for child in children:
        last = child is children[-1]
        yield from _draw(
            nodes, child, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  ")
        )
