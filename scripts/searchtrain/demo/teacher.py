"""The scripted teacher as the agent: it thinks, searches and answers, and errs as it is told to.

It knows how to read and to plan, and no facts: what it answers it has read in the observations of
the conversation at hand (or it guesses). System prompts may say anything.

Invariant: a turn is a function of the messages, the seed and the rates.
"""

import re
from collections.abc import Mapping, Sequence

from searchtrain.agent.grammar import OBSERVATION, parse_turn, render_turn
from searchtrain.core.errors import ProtocolError
from searchtrain.demo.draws import draw_share, hash_parts
from searchtrain.demo.mistakes import (
    HABITS,
    ROLLOUT_KINDS,
    break_tags,
    reword,
    spoil_answer,
    spoil_think,
    word_answer,
)
from searchtrain.demo.passages import read_documents
from searchtrain.demo.policy import choose_answer, choose_step, name_final_fact
from searchtrain.demo.steps import Step, guess
from searchtrain.demo.tree_questions import parse_tree_question

HINT = re.compile(r"^Known answer: (.+)$", re.MULTILINE)
Messages = Sequence[tuple[str, str]]
"""(role, text) pairs, those of system and user too."""


def decide_turn(
    question: str, messages: Messages, seed: int, rates: Mapping[str, float]
) -> tuple[str, Sequence[str]]:
    """The next turn of a rollout and the mistakes that were put into it."""
    kinds = (*ROLLOUT_KINDS, *HABITS)
    drawn = {kind for kind in kinds if draw_share(rates, kind, question, seed)}
    hint = read_hint(messages)
    if hint:
        drawn -= {"wrong_answer", "unsupported_answer", "bad_query", "hasty_name"}
    careful = bool(rates.get("hasty_name")) and "hasty_name" not in drawn
    observations = [text for role, text in messages if role == OBSERVATION]
    turns = [read_queries(text) for role, text in messages if role == "assistant"]
    searches = [queries for queries in turns if queries]
    passages = read_documents(observations)
    tree = parse_tree_question(question)
    levels = tree.list_levels() if tree else []
    hasty = "shortcut" in drawn and len(levels) > 1
    if hasty and searches and searches[0] == (question,):
        answer = choose_answer(question, passages)
        step = Step("I take what the search shows.", answer=answer, wants=levels[-1].kind)
    else:
        step = choose_step(question, passages, searches, careful=careful)
    ended = bool(observations) and "No more searches" in observations[-1]
    if step.queries and ended:
        step = Step("I can not search any more.", answer=choose_answer(question, passages))
    again = () if ended or step.answer is None else reword(searches, drawn)
    mistakes = []
    if not searches and "unsupported_answer" in drawn:
        wants = name_final_fact(question)
        step = Step("I know this.", answer=guess(wants, question, seed), wants=wants)
        mistakes.append("unsupported_answer")
    elif not searches and "bad_query" in drawn and step.queries:
        step = Step(step.think, queries=("more information about it",))
        mistakes.append("bad_query")
    elif not searches and "copied_query" in drawn and step.queries:
        step = Step(step.think, queries=(question,))
    elif searches and not hint and step.queries and _loses_way(rates, question, seed, searches):
        wants = name_final_fact(question)
        step = Step("I think I know the rest.", answer=guess(wants, question, seed), wants=wants)
    elif hasty and not searches and step.queries:
        step = Step("I search for all of it at once.", queries=(question,))
        mistakes.append("shortcut")
    elif "repeated_query" in drawn and len(searches) == 1:
        step = Step("I am not sure yet. I search again.", queries=searches[0])
        mistakes.append("repeated_query")
    elif again:
        step = Step("I have what I need, and still I search for it once more.", queries=again)
        mistakes += drawn & {"redundant_search"}
    elif "wrong_answer" in drawn and step.answer is not None:
        step = spoil_answer(step, passages, question, seed)
        mistakes.append("wrong_answer")
    if step.answer is not None:
        step = word_answer(step, drawn, rates, hint)
    think, bad_manners = spoil_think(step.think, drawn, searches)
    if hint and "named_hint" in drawn and step.answer is not None:
        think = f"{think} The known answer is {hint}, so that is it."
    if draw_share(rates, "broken_tags", messages, seed):
        broken = break_tags(think, step, hash_parts(messages, seed))
        return broken, [*mistakes, *bad_manners, "broken_tags"]
    text = render_turn(think, queries=step.queries, answer=step.answer)
    return text, [*mistakes, *bad_manners]


def read_hint(messages: Messages) -> str:
    """The answer that the system prompt of a hinted rollout gives away; empty without one."""
    found = (HINT.search(text) for role, text in messages if role == "system")
    return next((match[1].strip() for match in found if match), "")


def _loses_way(
    rates: Mapping[str, float], question: str, seed: int, searches: Sequence[tuple[str, ...]]
) -> bool:
    """Drawn at each lookup after the first, so that success falls with hops."""
    return draw_share(rates, "lost_hop", question, seed, len(searches))


def finish_turn(question: str, messages: Messages) -> str:
    """Finish a turn that the client began (`continue_final_message`), or reply to its request for
    the answer."""
    passages = read_documents([text for role, text in messages if role == OBSERVATION])
    answer = choose_answer(question, passages)
    prefix = messages[-1][1]
    opening = "" if prefix.endswith("<answer>") else "<answer>"
    return f"{opening}{answer}</answer>"


def read_queries(turn: str) -> tuple[str, ...]:
    """A turn's queries; one that answers or breaks the grammar has none."""
    try:
        return parse_turn(turn).queries
    except ProtocolError:
        return ()
