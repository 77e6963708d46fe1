"""The scripted writer: it puts a research tree into words, and only to leak knows the world."""

from collections.abc import Collection

from searchtrain.demo.claims import read_tree
from searchtrain.demo.descriptions import Description, list_matches
from searchtrain.demo.draws import hash_parts
from searchtrain.demo.requests import Refusal, read_request, render_reply
from searchtrain.demo.tree_questions import describe, write_tree_question
from searchtrain.demo.world import build_world


def word_question(text: str, seed: int, erring: Collection[str] = ()) -> str:
    """The writer's question for a tree. `erring`: `writer_leaks`."""
    body = read_request(text, "writer", tree=dict)
    number = hash_parts("phrasing", text, seed)
    try:
        description = read_tree(body["tree"])
        question = write_tree_question(description, number)
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(f"this writer cannot put the tree into words: {error}") from None
    if "writer_leaks" in erring:
        question = _leak(description, question)
    return render_reply(question=question)


def _leak(description: Description, question: str) -> str:
    """The question with the name of a place that it should only describe."""
    hidden = description.find_described() or description
    names = list_matches(hidden, build_world(cities_per_country=30, details=True).facts)
    if not names:
        return question
    phrase = describe(hidden)
    if phrase in question and hidden is not description:
        return question.replace(phrase, f"{names[0]}, {phrase}")
    return f"{question[:-1]}, if not {names[0]}{question[-1]}"
