"""What the scripted teacher does next: look up the next missing thing, or answer.

Invariant: it goes by what was read in this rollout; what it cannot find it guesses.
"""

import re

from searchtrain.demo.city_policy import choose_city_step
from searchtrain.demo.city_questions import QUESTION_TYPES, list_hops, parse_city_question
from searchtrain.demo.reading import Passages, read_facts
from searchtrain.demo.steps import Searches, Step, guess
from searchtrain.demo.tree_policy import choose_tree_step, guess_answer
from searchtrain.demo.tree_questions import parse_tree_question

YEAR = re.compile(r"\b(?:1\d|20)\d\d\b")
NAME = re.compile(r"[A-Z][a-z]+(?: [A-Z][a-z]+)+")


def choose_step(question: str, passages: Passages, searches: Searches) -> Step:
    """Choose the next step from what was read: look up the next missing thing, or answer."""
    facts = read_facts(passages)
    if parsed := parse_city_question(question):
        return choose_city_step(*parsed, facts, searches)
    if tree := parse_tree_question(question):
        return choose_tree_step(tree, facts, searches)
    return _choose_open_step(question, passages, searches)


def choose_answer(question: str, passages: Passages) -> str:
    """The best answer that can be given without another search."""
    step = choose_step(question, passages, ())
    if step.answer is None and (tree := parse_tree_question(question)):
        found = guess_answer(tree, read_facts(passages))
        return found or guess(tree.kind, question, 0)
    if step.answer is None and parse_city_question(question) is None:
        step = _choose_open_step(question, passages, (("",),))
    if step.answer is not None:
        return step.answer
    return guess(name_final_fact(question), question, 0)


def name_final_fact(question: str) -> str:
    """The fact that a question asks for in the end; a country when it is foreign."""
    if parsed := parse_city_question(question):
        comparison = QUESTION_TYPES[parsed[0]] == "comparison"
        return "country" if comparison else list_hops(parsed[0])[-1][1]
    tree = parse_tree_question(question)
    return tree.kind if tree else "country"


def _choose_open_step(question: str, passages: Passages, searches: Searches) -> Step:
    """A question of another world: search for it as it stands, then answer from the top passage."""
    if not searches:
        return Step("I search for the question itself.", queries=(" ".join(question.split()),))
    if not passages:
        return Step("No passage helps.", answer="unknown", wants="country")
    title, (text, *_) = next(iter(passages.items()))
    lowered = question.lower()
    answer = title
    if lowered.startswith("when") or " year" in lowered:
        answer = found[0] if (found := YEAR.search(text)) else title
    elif lowered.startswith("who"):
        answer = found[0] if (found := NAME.search(text)) else title
    return Step(f"The first passage is about {title}.", answer=answer)
