"""The scripted planner of research trees: it chooses the next action.

Invariant: an action is a function of the tree, the legal actions, and a size drawn per root.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from searchtrain.demo.claims import list_nodes
from searchtrain.demo.descriptions import ATTRIBUTES
from searchtrain.demo.draws import draw_share, hash_parts
from searchtrain.demo.requests import read_request, render_reply

BLUR_SHARE = 0.25
"""How often a fact is tried on a country where a neighbour would do: few facts are shared by some
countries, and not by all around."""
PLACE_SHARE = 0.4
"""How often a capital is described by where it lies, if it may be: suburbs often lie there, too."""
MOST_NEIGHBOURS = 3
MOST_LEVELS = 4


def plan_step(text: str, seed: int, erring: Collection[str] = ()) -> str:
    """The planner's next action. `erring`: `planner_prose`, `planner_illegal`."""
    body = read_request(text, "planner", root=dict, nodes=list, legal=list)
    reason, action, target = _choose_action(body, seed)
    if "planner_prose" in erring:
        return f"I think that the tree needs this now: {action} {target}. {reason}"
    if "planner_illegal" in erring:
        action, target = "extend", "Z"
    return render_reply(reason=reason, action=action, target=target)


def _choose_action(body: Mapping[str, Any], seed: int) -> tuple[str, str, str]:
    """Reason, action and target."""
    legal = {row["action"]: row["targets"] for row in body["legal"]}
    tree = body.get("tree")
    if tree is None:
        return "There is no tree yet.", "initialise", ""
    mark = (seed, str(body["root"].get("title")))
    low, high = body["min_vertices"], body["max_vertices"]
    # The larger of two draws: small trees make easy questions.
    size = max(low + hash_parts(name, *mark) % (high - low + 1) for name in ("size", "other size"))
    places = list_nodes(tree)
    vertices = len(places)
    nodes = {place[0]["id"]: place for place in places}
    open_nodes = [row["id"] for row in body["nodes"] if row["candidates"] != 1]
    for name in reversed(open_nodes):
        for action in _rank_actions(nodes[name][0], *mark, vertices):
            if name in legal.get(action, ()):
                return f"More than one page may be {name}.", action, name
    if not open_nodes:
        leaves = [] if vertices >= size else _list_growing(nodes, legal, high - vertices, mark)
        if leaves:
            action, name = leaves[hash_parts("leaf", *mark, vertices) % len(leaves)]
            return f"{name} can be described instead of named.", action, name
        if "done" in legal:
            return "Every node is the only one that fits.", "done", ""
    return "No claim is left that would single the nodes out.", "quit", ""


def _rank_actions(node: Mapping[str, Any], *mark: Any) -> list[str]:
    """What may narrow a node down, best first."""
    kind = "city" if node["kind"] == "city" else "country"
    facts = len([child for child in node["children"] if child["entity"] is None])
    places = len(node["children"]) - facts
    actions = []
    if facts < len(ATTRIBUTES[kind]):
        actions.append("blur")
    if kind == "country" and places < MOST_NEIGHBOURS:
        rare = draw_share({"blur": BLUR_SHARE}, "blur", node["id"], *mark)
        actions.insert(len(actions) if rare else 0, "extend")
    return actions


def _list_growing(
    nodes: Mapping[str, tuple[Any, Any, int]],
    legal: Mapping[str, Sequence[str]],
    left: int,
    mark: tuple[int, str],
) -> list[tuple[str, str]]:
    """Leaves that may be described instead of named: the sole such child, not too deep."""
    found = []
    for name, (node, parent, depth) in nodes.items():
        if node["entity"] is None or node["children"] or parent is None or depth >= MOST_LEVELS:
            continue
        if any(child["children"] for child in parent["children"]):
            continue
        # A city takes two facts, a country one or two.
        if node["kind"] == "city":
            drawn = draw_share({"place": PLACE_SHARE}, "place", *mark)
            if drawn and name in legal.get("blur", ()) and left >= len(ATTRIBUTES["city"]):
                found.append(("blur", name))
        elif name in legal.get("extend", ()):
            found.append(("extend", name))
    return found
