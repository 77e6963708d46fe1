"""The research tree: nodes, claims, its JSON and flat forms, and what one step may change.

Invariant: in a tree that `check_step` let pass every child has exactly one claim, which stands on
its parent, ids are letters in order of creation, and nothing older than the step is touched.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from searchtrain.core.errors import ToldToModel
from searchtrain.models.reply import make_object_schema
from searchtrain.trees.names import find_name, list_names
from searchtrain.trees.pages import Page

IDS = string.ascii_uppercase
"""Node ids in order of creation; a tree has no more nodes than there are letters."""
ROOT = IDS[0]
ATTRIBUTE = "attribute"
"""The kind of a node that is no entity but a fact about its parent."""

NODE_SCHEMA = make_object_schema(
    id={"type": "string"},
    entity={"type": ["string", "null"]},
    page={"type": "string"},
    kind={"type": "string"},
    claims={
        "type": "array",
        "items": make_object_schema(target_id={"type": "string"}, claim={"type": "string"}),
    },
    children={"type": "array", "items": {"$ref": "#/$defs/node"}},
)
"""A node with all below it; the schema that uses it has it under `$defs/node`."""


class TreeFault(ToldToModel):
    """A step that is not accepted; the message tells the model what to fix.

    Kinds: `illegal_action`, `illegal_target`, `root_dropped`, `old_node_changed`, `nodes_added`,
    `duplicate_id`, `wrong_id`, `link_not_on_page`, `broken_link`, `claim_mismatch`, `leaf_leaks`;
    of `trees.quality` `untraceable`, `over_determined`, `implied`; of `trees.growth` `max_steps`.
    """


@dataclass(frozen=True, slots=True)
class Claim:
    """What a node says of one of its children, by their letters."""

    target_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Node:
    """An entity with its page, or (`entity` None) a fact about the parent."""

    id: str
    entity: str | None
    page: str
    kind: str
    claims: tuple[Claim, ...] = ()
    children: tuple[Node, ...] = ()

    def walk(self) -> Iterator[Node]:
        """This node and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def find(self, name: str) -> Node:
        """The node with this id; it must be there."""
        return next(node for node in self.walk() if node.id == name)

    def claim_on(self, child: Node) -> str:
        """The claim that leads to a child; it must be there."""
        return next(claim.text for claim in self.claims if claim.target_id == child.id)

    def to_json(self) -> dict[str, Any]:
        """The node and all below it as models see and write it."""
        return {
            "id": self.id,
            "entity": self.entity,
            "page": self.page,
            "kind": self.kind,
            "claims": [{"target_id": c.target_id, "claim": c.text} for c in self.claims],
            "children": [child.to_json() for child in self.children],
        }


def read_node(value: Mapping[str, Any]) -> Node:
    """Build a node of a JSON object that fits NODE_SCHEMA; white space is made single."""
    entity = value["entity"]
    return Node(
        id=value["id"],
        entity=None if entity is None else _tidy(entity),
        page=value["page"],
        kind=_tidy(value["kind"]),
        claims=tuple(Claim(claim["target_id"], _tidy(claim["claim"])) for claim in value["claims"]),
        children=tuple(read_node(child) for child in value["children"]),
    )


def flatten(root: Node, candidates: Mapping[str, int] | None = None) -> list[dict[str, Any]]:
    """The rows of `schemas.NODE` in order of creation; `candidates`: id -> pages, where known."""
    rows = [
        {
            "id": node.id,
            "parent": parent.id if parent else "",
            "entity": node.entity or "",
            "page": node.page,
            "kind": node.kind,
            "claim": parent.claim_on(node) if parent else "",
            "candidates": (candidates or {}).get(node.id, -1),
        }
        for parent, node in _pair_parents(root)
    ]
    return sorted(rows, key=lambda row: IDS.index(row["id"]))


def unflatten(rows: Sequence[Mapping[str, Any]]) -> Node:
    """Build the tree of its rows, or of the first of them, which are an earlier state."""

    def build(row: Mapping[str, Any]) -> Node:
        below = [child for child in rows if child["parent"] == row["id"]]
        return Node(
            id=row["id"],
            entity=None if row["kind"] == ATTRIBUTE else row["entity"],
            page=row["page"],
            kind=row["kind"],
            claims=tuple(Claim(child["id"], child["claim"]) for child in below),
            children=tuple(map(build, below)),
        )

    return build(rows[0])


def list_inner(root: Node) -> list[Node]:
    """The root and every other entity with children: what a question may not name."""
    return [node for node in root.walk() if node is root or node.children]


def list_levels(root: Node) -> list[list[str]]:
    """Pages of the root and the inner nodes, level by level, the deepest first, the root last."""
    levels = [[root]]
    while inner := [child for node in levels[0] for child in node.children if child.children]:
        levels.insert(0, inner)
    return [[node.page for node in level] for level in levels]


def hide_names(node: Node, root: bool = True) -> Node:
    """The tree as the writer of its question sees it: no inner names, and no pages."""
    return replace(
        node,
        entity=None if root or node.children else node.entity,
        page="",
        children=tuple(hide_names(child, root=False) for child in node.children),
    )


def name_next(root: Node | None) -> str:
    """The id of the child that the next step adds."""
    return IDS[sum(1 for _ in root.walk()) if root else 1]


def check_step(
    old: Node | None, new: Node, action: str, target: str, page: Page, links: Sequence[Page]
) -> Node:
    """Check that `new` is `old` and one step, and return it with children in order of creation.

    `action`: `initialise`, `blur` or `extend`; `target`: the node that grows (the root's id for
    `initialise`); `page`: that node's page; `links`: where it may lead to. Raises TreeFault.
    """
    _check_root(old, new, page)
    _check_ids(new)
    if old is not None:
        _check_old(old, new)
    known = {node.id for node in old.walk()} if old else {ROOT}
    added = [(parent, node) for parent, node in _pair_parents(new) if node.id not in known]
    if len(added) != 1:
        raise TreeFault(
            f"The tree has {len(added)} new nodes; a step adds exactly one child.", "nodes_added"
        )
    parent, child = added[0]
    assert parent is not None  # the root is not new
    if child.id != name_next(old):
        raise TreeFault(f"The new node is {child.id!r}, not {name_next(old)!r}.", "wrong_id")
    if parent.id != target:
        raise TreeFault(
            f"The new node stands under {parent.id!r}, not under {target!r}.", "illegal_target"
        )
    _check_claims(new)
    if action == "blur":
        _check_attribute(child, page)
    else:
        _check_entity(child, page, links)
    _check_wording(new, parent, child)
    _check_leaves(new)
    return unflatten(flatten(new))


def _check_root(old: Node | None, new: Node, page: Page) -> None:
    if old is not None:
        if (new.id, new.page) != (old.id, old.page):
            raise TreeFault(
                f"The root is {new.id!r} with page {new.page!r};"
                f" it must stay {old.id!r} with page {old.page!r}.",
                "root_dropped",
            )
    elif (new.id, new.page, new.entity) != (ROOT, page.id, page.title):
        raise TreeFault(
            f"The root must be {ROOT!r}, page {page.id!r}, entity {page.title!r}.", "root_dropped"
        )
    elif new.kind in ("", ATTRIBUTE):
        raise TreeFault("The root's kind must say what it is.", "claim_mismatch")


def _check_ids(new: Node) -> None:
    counts = Counter(node.id for node in new.walk())
    name, count = counts.most_common(1)[0]
    if count > 1:
        raise TreeFault(f"{count} nodes have the id {name!r}.", "duplicate_id")


def _check_old(old: Node, new: Node) -> None:
    """Every node of `old` stands in `new` under the same parent, with its claims."""
    now = {node.id: (parent, node) for parent, node in _pair_parents(new)}
    for parent, node in _pair_parents(old):
        above, same = now.get(node.id, (None, None))
        if same is None:
            raise TreeFault(f"Node {node.id!r} is gone.", "old_node_changed")
        if (
            (same.entity, same.page, same.kind) != (node.entity, node.page, node.kind)
            or (above and above.id) != (parent and parent.id)
            or not set(node.claims) <= set(same.claims)
        ):
            raise TreeFault(
                f"Node {node.id!r} is not as it was; old nodes and their claims stay untouched.",
                "old_node_changed",
            )


def _check_claims(new: Node) -> None:
    for node in new.walk():
        said = sorted(claim.target_id for claim in node.claims)
        if said != sorted(child.id for child in node.children):
            raise TreeFault(
                f"Node {node.id!r} has claims on {said};"
                " it must have exactly one for each of its children.",
                "claim_mismatch",
            )


def _check_attribute(child: Node, page: Page) -> None:
    if child.entity is not None or child.kind != ATTRIBUTE:
        raise TreeFault(
            f"Blur adds an attribute: entity null and kind {ATTRIBUTE!r}.", "illegal_action"
        )
    if child.page != page.id:
        raise TreeFault(f"An attribute has its parent's page, {page.id!r}.", "link_not_on_page")


def _check_entity(child: Node, page: Page, links: Sequence[Page]) -> None:
    if child.entity is None or child.kind in ("", ATTRIBUTE):
        raise TreeFault(
            "This step adds an entity: a linked page with its title, and a kind that says what"
            " it is.",
            "illegal_action",
        )
    if child.page in page.broken:
        raise TreeFault(f"The link {child.page!r} leads nowhere.", "broken_link")
    titles = {link.id: link.title for link in links}
    if child.page not in titles:
        raise TreeFault(
            f"{child.page!r} is not among the links of page {page.id!r}.", "link_not_on_page"
        )
    if child.entity != titles[child.page]:
        raise TreeFault(
            f"Page {child.page!r} has the title {titles[child.page]!r}, not {child.entity!r}.",
            "link_not_on_page",
        )


def _check_wording(new: Node, parent: Node, child: Node) -> None:
    """The new claim speaks of nodes by letter, and neither it nor a kind names one."""
    text = parent.claim_on(child)
    wanted = [parent.id] if child.entity is None else [parent.id, child.id]
    for letter in wanted:
        if replace_letter(text, letter, "") == text:
            raise TreeFault(
                f"The claim {text[:80]!r} does not speak of {letter}.", "claim_mismatch"
            )
    names = [name for node in new.walk() if node.entity for name in list_names(node.entity)]
    for said in (text, child.kind, parent.kind):
        if name := find_name(said, names):
            raise TreeFault(
                f"{said[:80]!r} holds the name {name!r}; speak of nodes by letter and say of what"
                " kind they are without naming them.",
                "claim_mismatch",
            )


def _check_leaves(new: Node) -> None:
    """No entity that a question may name gives away one that it may not ("Kuwait City")."""
    hidden = [(node.id, list_names(node.entity)) for node in list_inner(new) if node.entity]
    for leaf in new.walk():
        for name, names in hidden if leaf.entity and not leaf.children else ():
            if found := find_name(leaf.entity or "", names):
                raise TreeFault(
                    f"The name of {leaf.id} holds {found!r}, which must not be told, as {name} is"
                    " described; choose another page.",
                    "leaf_leaks",
                )


def replace_letter(claim: str, letter: str, text: str) -> str:
    """Put a text in the place where the claim first speaks of the node.

    Only there: the E of "E lies at longitude 4 E" that comes second is no node.
    """
    return re.sub(rf"(?<!\w){letter}(?!\w)", lambda _: text, claim, count=1)


def _pair_parents(root: Node) -> Iterator[tuple[Node | None, Node]]:
    yield None, root
    for node in root.walk():
        for child in node.children:
            yield node, child


def _tidy(text: str) -> str:
    return " ".join(text.split())
