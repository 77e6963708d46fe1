"""Research trees as JSON, and the claims in them: "A is a city in B." speaks of nodes by letter.

Invariant: a claim that `CLAIMS` words is read back by `read_claim`; every other claim is refused.
"""

from collections.abc import Mapping
from typing import Any

from searchtrain.demo.descriptions import ATTRIBUTES, RELATIONS, Description
from searchtrain.demo.passages import compile_phrasing
from searchtrain.demo.tree_questions import CLAUSES

CLAIMS = {
    "country": "{parent} is a city in {value}.",
    "capital": "The capital of {parent} is {value}.",
    "borders": "{parent} borders {value}.",
    "latitude": "{parent} lies at latitude {value}.",
    "longitude": "{parent} lies at longitude {value}.",
    "currency_code": "{parent} has the currency code {value}.",
    "continent": "{parent} is on the continent {value}.",
}
"""How a claim words a fact of its parent; the value of a relation is a child's letter."""
PATTERNS = {
    fact: compile_phrasing(claim, parent="[A-Z]", value="[A-Z]" if fact in RELATIONS else ".+")
    for fact, claim in CLAIMS.items()
}


def read_claim(claim: str, parent: str, target: str = "") -> tuple[str, str] | None:
    """The fact that a claim states of `parent`, and its value; None for another claim.

    `parent`, `target`: letters; the value of a relation is `target`.
    """
    for fact, pattern in PATTERNS.items():
        match = pattern.fullmatch(claim.strip())
        value = match["value"] if match and match["parent"] == parent else ""
        if value and (fact not in RELATIONS or value == target):
            return fact, value
    return None


def read_tree(tree: Mapping[str, Any], kind: str | None = None) -> Description:
    """What a tree whose hidden names are null says of its root, without naming that.

    `tree`: a node as JSON. `kind`: what the node is, if its parent tells. Raises ValueError for a
    claim of another language, and for a node with two children that are only described.
    """
    attributes, relations = [], []
    root = kind is None
    children = {child["id"]: child for child in tree.get("children") or ()}
    for claim in tree.get("claims") or ():
        child = children.get(claim["target_id"])
        read = read_claim(claim["claim"], tree["id"], claim["target_id"])
        if child is None or read is None:
            raise ValueError(f"{claim['claim']!r} is no claim of this world on {tree['id']}")
        fact, value = read
        if fact not in RELATIONS:
            attributes.append((fact, value))
        elif child.get("entity"):
            relations.append((fact, child["entity"]))
        else:
            relations.append((fact, read_tree(child, RELATIONS[fact])))
    facts = [fact for fact, _ in (*attributes, *relations)]
    if kind is None:
        kind = "city" if {"country", *ATTRIBUTES["city"]} & set(facts) else "country"
    allowed = ATTRIBUTES["city"] if kind == "city" else tuple(CLAUSES)
    if root and kind == "city":
        allowed = ("country", *allowed)
    described = [place for _, place in relations if not isinstance(place, str)]
    if not facts or not set(facts) <= set(allowed) or len(described) > 1:
        raise ValueError(f"node {tree['id']}: no question of this world describes it")
    attributes.sort(key=lambda pair: ATTRIBUTES[kind].index(pair[0]))
    relations.sort(key=lambda pair: not isinstance(pair[1], str))
    return Description(kind, tuple(attributes), tuple(relations))


def list_nodes(
    node: Mapping[str, Any], parent: Mapping[str, Any] | None = None, depth: int = 1
) -> list[tuple[Mapping[str, Any], Mapping[str, Any] | None, int]]:
    """(node, parent, level) triples; the root is on level 1."""
    below = [triple for child in node["children"] for triple in list_nodes(child, node, depth + 1)]
    return [(node, parent, depth), *below]
