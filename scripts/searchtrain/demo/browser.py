"""The scripted browser of research trees: it reads a page and adds one claim and one child.

Invariant: what it adds stands on the page, but where it is told to err.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from searchtrain.demo.claims import CLAIMS, list_nodes, read_claim
from searchtrain.demo.descriptions import ATTRIBUTES, RELATIONS, list_values
from searchtrain.demo.draws import hash_parts
from searchtrain.demo.passages import read_passage
from searchtrain.demo.requests import read_request, render_reply

CAPITAL_SHARES = {2: 0.35, 3: 0.35, 4: 0.75}
"""How often a country is described by its capital and not by neighbours, by the tree's vertices:
in a larger tree always, as that takes no second claim."""
HUGE = 2**20
"""Characters of an answer that is far too long."""


def extend_tree(text: str, seed: int, erring: Collection[str] = ()) -> str:
    """The browser's new tree: one claim and one child more, from the page.

    `erring`: `browser_prose`, `browser_rewrites`, `browser_drops_root`, `browser_invents_link`,
    `browser_huge`. The first of them that can be made is.
    """
    body = read_request(text, "browser", action=str, page=dict, next_id=str)
    reason, tree = _grow(body, seed)
    children = tree["children"]
    if "browser_prose" in erring:
        return f"I have read the page on {body['page']['title']}. {reason}"
    if "browser_huge" in erring:
        return render_reply(reason="a" * HUGE, tree=tree)
    if "browser_rewrites" in erring and body.get("tree"):
        old = body["tree"]["children"][0]
        renamed = "Atlantis" if old["entity"] else "Nowhere"
        tree["children"] = [{**children[0], "entity": renamed}, *children[1:]]
    elif "browser_drops_root" in erring:
        tree = children[0]
    elif "browser_invents_link" in erring:
        invented = {"page": "city-0", "entity": "Atlantis", "kind": "city"}
        tree = _change_node(tree, body["next_id"], lambda _: invented)
    return render_reply(reason=reason, tree=tree)


def _grow(body: Mapping[str, Any], seed: int) -> tuple[str, dict[str, Any]]:
    """Reason and new tree."""
    page, name = body["page"], body["next_id"]
    tree = body.get("tree")
    if tree is None:
        kind = _tell_kind(read_passage(str(page["text"])))
        tree = _make_node("A", page["title"], page["id"], kind)
    target = str(body.get("target") or "A")
    options = _list_options(body["action"], tree, target, page, seed)
    if not options:
        return "The page tells nothing more that would help.", tree
    fact, value, link = options[len(body.get("faults") or ()) % len(options)]
    if link is None:
        child = _make_node(name, None, page["id"], "attribute")
        claim = CLAIMS[fact].format(parent=target, value=value)
    else:
        child = _make_node(name, value, link, RELATIONS[fact])
        claim = CLAIMS[fact].format(parent=target, value=name)

    def add_child(node: Mapping[str, Any]) -> dict[str, Any]:
        claims = [*node["claims"], {"target_id": name, "claim": claim}]
        return {"claims": claims, "children": [*node["children"], child]}

    return f"The page states it: {claim}", _change_node(tree, target, add_child)


def _list_options(
    action: str,
    tree: Mapping[str, Any],
    target: str,
    page: Mapping[str, Any],
    seed: int,
) -> list[tuple[str, str, str | None]]:
    """What the page offers for a step, best first: (fact, value, linked page or None)."""
    facts = read_passage(str(page["text"]))
    kind = _tell_kind(facts)
    nodes = [node for node, _, _ in list_nodes(tree)]
    node = next((each for each in nodes if each["id"] == target), tree)
    said = {
        read[0]
        for claim in node["claims"]
        if (read := read_claim(claim["claim"], target, claim["target_id"]))
    }
    title = str(tree["entity"])

    def draw(*parts: Any) -> int:
        return hash_parts("option", seed, title, target, *parts)

    if action == "blur":
        offered = [fact for fact in ATTRIBUTES[kind] if fact in facts and fact not in said]
        offered.sort(key=draw)
        return [(fact, facts[fact], None) for fact in offered]
    visited = {each["page"] for each in nodes}
    options = [
        (fact, link["title"], link["id"])
        for link in page["links"]
        for fact in RELATIONS
        if link["id"] not in visited and link["title"] in list_values(facts, fact)
    ]
    share = CAPITAL_SHARES.get(len(nodes), 1)
    alone = not node["children"] and draw("capital") < share * 2**64
    first = "capital" if alone else "borders"
    options.sort(key=lambda option: (option[0] != first, draw(option[1])))
    return options


def _make_node(name: str, entity: str | None, page: str, kind: str) -> dict[str, Any]:
    node = {"id": name, "entity": entity, "page": page, "kind": kind}
    return {**node, "claims": [], "children": []}


def _change_node(
    node: Mapping[str, Any], name: str, change: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """The tree below a node with one node changed."""
    if node["id"] == name:
        return {**node, **change(node)}
    return {**node, "children": [_change_node(each, name, change) for each in node["children"]]}


def _tell_kind(facts: Mapping[str, str]) -> str:
    return "city" if "population" in facts else "country"
