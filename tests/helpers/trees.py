"""Nodes of a research tree."""

from searchtrain.trees.tree import Claim, Node


def entity(name, title, page, kind, *children):
    """A node; `children`: (claim, node) pairs."""
    return Node(
        name, title, page, kind,
        tuple(Claim(child.id, claim) for claim, child in children),
        tuple(child for _, child in children),
    )  # fmt: skip


def attribute(name, page):
    return Node(name, None, page, "attribute")
