"""The research tree: its two forms, what a step may change, and answers that cannot be read."""

import json
from dataclasses import replace

import pytest

from helpers.trees import attribute, entity
from searchtrain.core.errors import ModelError
from searchtrain.models.reply import parse_object
from searchtrain.trees.growth import BROWSE_SCHEMA
from searchtrain.trees.names import find_name, list_names
from searchtrain.trees.pages import Page
from searchtrain.trees.tree import (
    Claim,
    TreeFault,
    check_step,
    flatten,
    hide_names,
    list_inner,
    list_levels,
    read_node,
    unflatten,
)

LYON = Page("lyon", "Lyon", "A city in France.", ("france", "rhone"), broken=("gone",))
LINKS = [Page("france", "France", ""), Page("rhone", "Rhône", "")]
FRANCE = Page("france", "France", "Borders Spain.", ("spain",))
SPAIN = [Page("spain", "Spain", "")]

B = entity("B", "France", "france", "country")
BEGUN = entity("A", "Lyon", "lyon", "city", ("A is a city in B.", B))
BLURRED = replace(
    BEGUN,
    claims=(*BEGUN.claims, Claim("C", "A lies at latitude 46 N.")),
    children=(B, attribute("C", "lyon")),
)
D = entity("D", "Spain", "spain", "country")
DEEP = replace(
    BLURRED,
    children=(replace(B, claims=(Claim("D", "B borders D."),), children=(D,)), BLURRED.children[1]),
)


def swap(root, name, **changes):
    """The tree with one node changed."""
    if root.id == name:
        return replace(root, **changes)
    return replace(root, children=tuple(swap(child, name, **changes) for child in root.children))


def test_every_action_adds_one_node():
    assert check_step(None, BEGUN, "initialise", "A", LYON, LINKS) == BEGUN
    assert check_step(BEGUN, BLURRED, "blur", "A", LYON, LINKS) == BLURRED
    assert check_step(BLURRED, DEEP, "extend", "B", FRANCE, SPAIN) == DEEP


def test_children_and_claims_in_another_order_are_the_same_tree():
    turned = replace(BLURRED, claims=BLURRED.claims[::-1], children=tuple(BLURRED.children[::-1]))
    assert check_step(BEGUN, turned, "blur", "A", LYON, LINKS) == BLURRED


def test_flat_form_is_the_tree_and_each_prefix_an_earlier_state():
    rows = flatten(DEEP, {"A": 1, "B": 3})
    assert [row["id"] for row in rows] == ["A", "B", "C", "D"]
    assert [row["candidates"] for row in rows] == [1, 3, -1, -1]
    assert (rows[0]["parent"], rows[0]["claim"]) == ("", "")
    assert (rows[2]["entity"], rows[2]["page"]) == ("", "lyon")
    assert [unflatten(rows[:size]) for size in (2, 3, 4)] == [BEGUN, BLURRED, DEEP]
    assert read_node(json.loads(json.dumps(DEEP.to_json()))) == DEEP


def test_levels_and_hidden_names():
    assert list_levels(DEEP) == [["france"], ["lyon"]]
    assert [node.id for node in list_inner(DEEP)] == ["A", "B"]
    shown = json.dumps(hide_names(DEEP).to_json())
    assert "Spain" in shown
    assert not any(name in shown for name in ("Lyon", "France", "lyon", "france", "spain"))


@pytest.mark.parametrize(
    ("new", "kind"),
    [
        (B, "root_dropped"),
        (replace(BLURRED, page="paris"), "root_dropped"),
        (replace(BLURRED, entity="Paris"), "old_node_changed"),
        (swap(BLURRED, "B", kind="state"), "old_node_changed"),
        (replace(BLURRED, claims=(Claim("B", "B has the city A."), BLURRED.claims[1])),
         "old_node_changed"),
        (replace(BLURRED, claims=BLURRED.claims[1:], children=BLURRED.children[1:]),
         "old_node_changed"),
        (BEGUN, "nodes_added"),
        (replace(BLURRED, claims=(*BLURRED.claims, Claim("D", "A is old.")),
                 children=(*BLURRED.children, attribute("D", "lyon"))), "nodes_added"),
        (swap(BLURRED, "C", id="B"), "duplicate_id"),
        (replace(BLURRED, claims=(BEGUN.claims[0], Claim("D", "A is old.")),
                 children=(B, attribute("D", "lyon"))), "wrong_id"),
        (replace(BEGUN, children=(replace(B, claims=(Claim("C", "B is old."),),
                 children=(attribute("C", "lyon"),)),)), "illegal_target"),
        (replace(BLURRED, claims=BEGUN.claims), "claim_mismatch"),
        (replace(BLURRED, claims=(*BLURRED.claims, Claim("C", "A is old."))), "claim_mismatch"),
        (replace(BLURRED, claims=(*BLURRED.claims, Claim("Z", "A is old."))), "claim_mismatch"),
        (replace(BLURRED, claims=(BEGUN.claims[0], Claim("C", "It is old."))), "claim_mismatch"),
        (replace(BLURRED, claims=(BEGUN.claims[0], Claim("C", "A, or Lyon, is old."))),
         "claim_mismatch"),
        (replace(BLURRED, claims=(BEGUN.claims[0], Claim("C", "A is FRANCE's."))),
         "claim_mismatch"),
        (swap(BLURRED, "C", page="france"), "link_not_on_page"),
        (swap(BLURRED, "C", entity="Rhône", page="rhone", kind="river"), "illegal_action"),
    ],
)  # fmt: skip
def test_a_bad_blur_is_a_fault_of_its_kind(new, kind):
    with pytest.raises(TreeFault) as caught:
        check_step(BEGUN, new, "blur", "A", LYON, LINKS)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("child", "claim", "kind"),
    [
        (entity("C", "Rhône", "rhone", "river"), "A lies on C.", ""),
        (attribute("C", "lyon"), "A is old.", "illegal_action"),
        (entity("C", "Rhône", "rhone", "attribute"), "A lies on C.", "illegal_action"),
        (entity("C", "Rhône", "rhone", ""), "A lies on C.", "illegal_action"),
        (entity("C", "Nile", "nile", "river"), "A lies on C.", "link_not_on_page"),
        (entity("C", "Rhone", "rhone", "river"), "A lies on C.", "link_not_on_page"),
        (entity("C", "Gone", "gone", "river"), "A lies on C.", "broken_link"),
        (entity("C", "Rhône", "rhone", "river"), "A lies on a river.", "claim_mismatch"),
        (entity("C", "Rhône", "rhone", "river"), "A lies on C, the Rhone.", "claim_mismatch"),
        (entity("C", "Rhône", "rhone", "the Rhône"), "A lies on C.", "claim_mismatch"),
    ],
)
def test_an_extension_leads_along_a_link_of_the_page(child, claim, kind):
    new = replace(
        BEGUN, claims=(*BEGUN.claims, Claim("C", claim)), children=(*BEGUN.children, child)
    )
    if not kind:
        assert check_step(BEGUN, new, "extend", "A", LYON, LINKS) == new
        return
    with pytest.raises(TreeFault) as caught:
        check_step(BEGUN, new, "extend", "A", LYON, LINKS)
    assert caught.value.kind == kind


def test_a_leaf_whose_name_gives_an_inner_node_away_is_refused():
    city = entity("C", "New France", "new", "city")
    new = replace(
        BEGUN, children=(replace(B, claims=(Claim("C", "The capital of B is C."),),
                                 children=(city,)),)
    )  # fmt: skip
    with pytest.raises(TreeFault, match="The name of C holds 'France'") as caught:
        check_step(BEGUN, new, "extend", "B", FRANCE, [Page("new", "New France", "")])
    assert caught.value.kind == "leaf_leaks"


@pytest.mark.parametrize(
    ("new", "kind"),
    [
        (replace(BEGUN, entity="Paris"), "root_dropped"),
        (replace(BEGUN, id="R"), "root_dropped"),
        (replace(BEGUN, claims=(), children=()), "nodes_added"),
        (BLURRED, "nodes_added"),
        (replace(BEGUN, kind="attribute"), "claim_mismatch"),
    ],
)
def test_a_bad_beginning_is_a_fault_of_its_kind(new, kind):
    with pytest.raises(TreeFault) as caught:
        check_step(None, new, "initialise", "A", LYON, LINKS)
    assert caught.value.kind == kind


def test_a_reply_is_measured_before_it_is_parsed():
    good = json.dumps({"reason": "r", "tree": BEGUN.to_json()})
    assert parse_object(f"Well, {good}", BROWSE_SCHEMA, 20_000)["tree"] == BEGUN.to_json()
    nest = '{"reason": "r", "tree": ' + '{"children": [' * 1400 + "]}" * 1400 + "}"
    for text, kind in (
        (good + " " * 1_000_000, "too_large"),
        ("I would extend B.", "not_json"),
        (json.dumps({"reason": "r", "tree": {"id": "A"}}), "schema"),
        (json.dumps({"reason": "r", "tree": {**BEGUN.to_json(), "more": 1}}), "schema"),
        (nest, "schema"),
        (good.replace("Lyon", "\\ud800"), "not_json"),
    ):
        with pytest.raises(ModelError) as caught:
            parse_object(text, BROWSE_SCHEMA, 50_000)
        assert caught.value.kind == kind


def test_names_of_a_page_and_where_a_text_gives_one_away():
    assert list_names("Georgia (country)", ["Sakartvelo"]) == [
        "Georgia (country)", "Georgia", "Sakartvelo"
    ]  # fmt: skip
    assert list_names("Paris, Texas") == ["Paris, Texas", "Paris"]
    for text in ("In PARIS' streets", "near-Paris towns", "the Páris one"):
        assert find_name(text, ["Paris"]) == "Paris"
    assert find_name("Hague or not", ["Delft", "The Hague"]) == "The Hague"
    assert find_name("A parisian comparison", ["Paris"]) == ""
    assert find_name("New York", ["York, New"]) == ""
