"""The scripted roles around research trees: they plan, browse, write, solve, verify and judge.

They read what they are sent and know no facts, but for the solver, which remembers a few places
and guesses, and the writer when it leaks. Invariant: an answer is a function of the request, the
seed, and the mistakes that it is told to make.
"""

import functools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from searchtrain.agent.grammar import parse_turn
from searchtrain.core.errors import ProtocolError
from searchtrain.demo.reading import read_facts
from searchtrain.demo.script import Refusal, draw_share, hash_parts, read_request
from searchtrain.demo.tree_language import (
    ATTRIBUTES,
    CLAIMS,
    RELATIONS,
    Description,
    Facts,
    describe,
    list_matches,
    list_values,
    parse_question,
    read_claim,
    read_tree,
    write_question,
)
from searchtrain.demo.world import build_world, read_passage

CAPITAL_SHARES = {2: 0.35, 3: 0.35, 4: 0.75}
"""How often a country is described by its capital and not by neighbours, by the tree's vertices:
in a larger tree always, as that takes no second claim."""
BLUR_SHARE = 0.25
"""How often a fact is tried on a country where a neighbour would do: few facts are shared by some
countries, and not by all around."""
PLACE_SHARE = 0.4
"""How often a capital is described by where it lies, if it may be: suburbs often lie there, too."""
MOST_NEIGHBOURS = 3
MOST_LEVELS = 4
JSON_NAMES = {dict: "an object", list: "an array", str: "a text"}
HUGE = 2**20
"""Characters of an answer that is far too long."""

FAMOUS = {
    "France": ("Paris", "Lyon", "Marseille"),
    "Japan": ("Tokyo", "Osaka", "Nagoya"),
    "Brazil": ("Sao Paulo", "Rio de Janeiro", "Salvador"),
    "India": ("Mumbai", "Delhi", "Chennai"),
    "Germany": ("Berlin", "Hamburg", "Munich"),
    "Kenya": ("Nairobi", "Mombasa", "Kisumu"),
    "Canada": ("Toronto", "Montreal", "Calgary"),
    "Egypt": ("Cairo", "Alexandria", "Giza"),
    "Peru": ("Lima", "Arequipa", "Trujillo"),
    "Australia": ("Sydney", "Melbourne", "Brisbane"),
}
"""What the solver remembers: places that come to its mind for a country."""


def plan_step(text: str, seed: int, erring: Collection[str] = ()) -> str:
    """The planner's next action. `erring`: `planner_prose`, `planner_illegal`."""
    body = read_request(text)
    _require(body, "planner", ("root", dict), ("nodes", list), ("legal", list))
    reason, action, target = _choose_action(body, seed)
    if "planner_prose" in erring:
        return f"I think that the tree needs this now: {action} {target}. {reason}"
    if "planner_illegal" in erring:
        action, target = "extend", "Z"
    return _write({"reason": reason, "action": action, "target": target})


def browse_page(text: str, seed: int, erring: Collection[str] = ()) -> str:
    """The browser's new tree: one claim and one child more, from the page.

    `erring`: `browser_prose`, `browser_rewrites`, `browser_drops_root`, `browser_invents_link`,
    `browser_huge`. The first of them that can be made is.
    """
    body = read_request(text)
    _require(body, "browser", ("action", str), ("page", dict), ("next_id", str))
    reason, tree = _grow(body, seed)
    children = tree["children"]
    if "browser_prose" in erring:
        return f"I have read the page on {body['page']['title']}. {reason}"
    if "browser_huge" in erring:
        return _write({"reason": "a" * HUGE, "tree": tree})
    if "browser_rewrites" in erring and body.get("tree"):
        old = body["tree"]["children"][0]
        renamed = "Atlantis" if old["entity"] else "Nowhere"
        tree["children"] = [{**children[0], "entity": renamed}, *children[1:]]
    elif "browser_drops_root" in erring:
        tree = children[0]
    elif "browser_invents_link" in erring:
        tree = _replace_node(
            tree, body["next_id"], {"page": "city-0", "entity": "Atlantis", "kind": "city"}
        )
    return _write({"reason": reason, "tree": tree})


def word_question(text: str, seed: int, erring: Collection[str] = ()) -> str:
    """The writer's question for a tree. `erring`: `writer_leaks`."""
    body = read_request(text)
    number = hash_parts("phrasing", text, seed)
    _require(body, "writer", ("tree", dict))
    try:
        description = read_tree(body["tree"])
        question = write_question(description, number)
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(400, f"this writer can not put the tree into words: {error}") from None
    if "writer_leaks" in erring:
        question = _leak(description, question)
    return _write({"question": question})


def solve_closed_book(text: str, seed: int, _: Collection[str] = ()) -> str:
    """The solver's answer from memory: a famous city of the country, or any."""
    body = read_request(text)
    _require(body, "solver", ("question", str))
    question = body["question"]
    description = parse_question(question)
    country = dict(description.relations).get("country") if description else None
    options: Sequence[str] = [city for cities in FAMOUS.values() for city in cities]
    reason = "I do not know this, so I guess."
    if description is not None and description.kind == "country":
        options = tuple(FAMOUS)
    elif isinstance(country, str) and country in FAMOUS:
        options, reason = FAMOUS[country], f"I remember some cities in {country}."
    answer = options[hash_parts("memory", question, seed) % len(options)]
    return _write({"reason": reason, "answer": answer})


def verify_question(text: str, _: int, erring: Collection[str] = ()) -> str:
    """Every answer that fits the question by the documents alone. `erring`: `verifier_prose`."""
    body = read_request(text)
    _require(body, "verifier", ("question", str), ("documents", list))
    passages: dict[str, list[str]] = {}
    for row in body["documents"]:
        passages.setdefault(str(row["title"]), []).append(str(row["text"]))
    description = parse_question(body["question"])
    answers = list_matches(description, read_facts(passages)) if description else []
    reason = f"The documents show {len(answers)} places that fit."
    if "verifier_prose" in erring:
        return " ".join([reason, *answers])
    return _write({"reason": reason, "answers": answers})


def judge_trajectory(text: str, _: int, __: Collection[str] = ()) -> str:
    """Whether a rollout reasons its way to the answer: short queries, level by level."""
    body = read_request(text)
    _require(body, "judge of trajectories", ("question", str), ("trajectory", list))
    question = body["question"]
    description = parse_question(question)
    levels = len(description.list_levels()) if description else 1
    searches, answer, shown = [], "", ""
    for message in body["trajectory"]:
        if message["role"] != "assistant":
            shown += message["content"] if message["role"] == "tool" else ""
            continue
        try:
            turn = parse_turn(message["content"])
        except ProtocolError:
            continue
        answer = turn.answer or answer
        searches += [turn.queries] if turn.queries else []
    whole = {_bare(question)} & {_bare(query) for queries in searches for query in queries}
    if levels > 1 and whole:
        reason, genuine = "It searches for the whole question at once.", False
    elif len(searches) < levels:
        reason = f"It searches {len(searches)} times where {levels} things must be found in turn."
        genuine = False
    elif answer.lower() not in shown.lower():
        reason, genuine = "Nothing that it read names the answer.", False
    else:
        reason, genuine = "Each search follows from what was found before.", True
    return _write({"reason": reason, "genuine": genuine})


Play = Callable[[str, int, Collection[str]], str]
"""A role: from the user message, the seed and the mistakes to make to the answer."""

ROLES: Mapping[str, Play] = {
    "action": plan_step,
    "tree": browse_page,
    "question": word_question,
    "answers": verify_question,
    "answer": solve_closed_book,
    "genuine": judge_trajectory,
}
"""Roles by the field of the answer's schema that only they have; the first that fits counts."""


def play_role(play: Play, text: str, seed: int, erring: Collection[str]) -> str:
    """Answer a request in a role; raises Refusal when it is not what the role is sent."""
    try:
        return play(text, seed, erring)
    except (AttributeError, KeyError, TypeError, IndexError) as error:
        raise Refusal(400, f"the request lacks what this role needs: {error!r}") from None


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
    places = _list_nodes(tree)
    vertices = len(places)
    nodes = {node["id"]: (node, parent, depth) for node, parent, depth in places}
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
    kind = _name_kind(node)
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
        if _name_kind(node) == "city":
            drawn = draw_share({"place": PLACE_SHARE}, "place", *mark)
            if drawn and name in legal.get("blur", ()) and left >= len(ATTRIBUTES["city"]):
                found.append(("blur", name))
        elif name in legal.get("extend", ()):
            found.append(("extend", name))
    return found


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
    return f"The page states it: {claim}", _add_child(tree, target, child, claim)


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
    places = _list_nodes(tree)
    node = next((node for node, _, _ in places if node["id"] == target), tree)
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
    known = {node["page"] for node, _, _ in places}
    links = [link for link in page["links"] if link["id"] not in known]
    options = [
        (fact, link["title"], link["id"])
        for link in links
        for fact in RELATIONS
        if link["title"] in list_values(facts, fact)
    ]
    share = CAPITAL_SHARES.get(len(places), 1)
    alone = not node["children"] and draw("capital") < share * 2**64
    first = "capital" if alone else "borders"
    options.sort(key=lambda option: (option[0] != first, draw(option[1])))
    return options


def _make_node(name: str, entity: str | None, page: str, kind: str) -> dict[str, Any]:
    return {
        **{"id": name, "entity": entity, "page": page, "kind": kind},
        **{"claims": [], "children": []},
    }


def _add_child(
    node: Mapping[str, Any], target: str, child: Mapping[str, Any], claim: str
) -> dict[str, Any]:
    if node["id"] == target:
        added = {"target_id": child["id"], "claim": claim}
        return {
            **node,
            "claims": [*node["claims"], added],
            "children": [*node["children"], child],
        }
    return {
        **node,
        "children": [_add_child(each, target, child, claim) for each in node["children"]],
    }


def _replace_node(node: Mapping[str, Any], name: str, new: Mapping[str, Any]) -> dict[str, Any]:
    if node["id"] == name:
        return {**node, **new}
    return {**node, "children": [_replace_node(each, name, new) for each in node["children"]]}


def _list_nodes(
    node: Mapping[str, Any], parent: Mapping[str, Any] | None = None, depth: int = 1
) -> list[tuple[Mapping[str, Any], Mapping[str, Any] | None, int]]:
    """(node, parent, level) triples; the root is on level 1."""
    below = [triple for child in node["children"] for triple in _list_nodes(child, node, depth + 1)]
    return [(node, parent, depth), *below]


def _tell_kind(facts: Mapping[str, str]) -> str:
    return "city" if "population" in facts else "country"


def _name_kind(node: Mapping[str, Any]) -> str:
    return "city" if node["kind"] == "city" else "country"


def _leak(description: Description, question: str) -> str:
    """The question with the name of a place that it should only describe."""
    hidden = description.find_described() or description
    names = list_matches(hidden, _remember_world())
    if not names:
        return question
    phrase = describe(hidden)
    if phrase in question and hidden is not description:
        return question.replace(phrase, f"{names[0]}, {phrase}")
    return f"{question[:-1]}, if not {names[0]}{question[-1]}"


@functools.lru_cache(maxsize=1)
def _remember_world() -> Facts:
    return build_world(cities_per_country=30, details=True).facts


def _require(body: Mapping[str, Any], role: str, *fields: tuple[str, type]) -> None:
    for name, kind in fields:
        if not isinstance(body.get(name), kind):
            raise Refusal(400, f"a {role} needs {name}, {JSON_NAMES[kind]}")


def _bare(text: str) -> str:
    return " ".join(text.lower().split()).rstrip("?. ")


def _write(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
