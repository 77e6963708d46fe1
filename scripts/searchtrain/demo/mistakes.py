"""The mistakes that the scripted roles make at configured rates, and how a turn is spoiled.

`ROLLOUT_KINDS` are decided once per rollout, from (question, seed); the other kinds per request,
from (messages, seed), `http_500` and `hang` also from how often this request came before, so that
a retry may succeed (at rate 1 it never does). Invariant: the draw of one kind leaves those of the
others alone.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from searchtrain import config
from searchtrain.agent.grammar import render_turn
from searchtrain.demo.draws import hash_parts
from searchtrain.demo.facts import read_facts
from searchtrain.demo.passages import FACT_NAMES, Passages
from searchtrain.demo.steps import GUESSES, Searches, Step
from searchtrain.demo.varied import tidy_value

RATES = config.Mistakes().tracked()
"""A teacher that makes no mistake."""

OPENINGS = {
    "overlong_think": " ".join(
        ["Let me think about this once more, step by step, before I go on with the question."] * 10
    ),
    "hedging": (
        "Wait, is that so? Hmm, perhaps. Alternatively, not. Wait, maybe it is. Hmm, or both."
        " Alternatively, neither. Wait, which one? Hmm, hard to say. Alternatively, the other."
        " Wait, slower. Hmm, no. Alternatively, yes."
    ),
    "foreign_language": "首先我需要弄清楚这个问题在问什么。然后我再去查找相关的资料。",
    "repetition": " ".join(["again and"] * 20),
}
"""What the reasoning of a rollout's first turn opens with; of several the last comes first."""
ROLLOUT_KINDS = (
    *("bad_query", "wrong_answer", "repeated_query", "unsupported_answer"),
    *OPENINGS,
    *("long_trace", "redundant_search", "shortcut"),
)
HABITS = ("long_answer", "own_notation", "hasty_name", "copied_query", "named_hint")
"""Decided once per rollout, too: what a model does that nobody told what the golds are like. No
defect of a rollout (`demo.defects`)."""
ASIDES = (
    "The question names one thing and asks for something else about it.",
    "I go step by step and write down what each of them gives me.",
    "What I know from memory may be out of date, so passages count for more.",
    "A short query with the right name in it finds the right page.",
    "Names that look alike are easy to mix up, so I compare them with care.",
    "The answer should be spelled just as the best passage spells it.",
    "So far nothing speaks against the way that I have chosen here.",
    "If one passage says too little, another may tell me the rest.",
)
LONG_TURN_WORDS = 58
"""A long trace's turns have at most so much reasoning: each alone is short enough."""
LONG_SEARCHES = 3
"""A long trace has at least so many searches."""
REWORDINGS = ("information", "details", "profile")
"""Words that make another query of a query and find nothing else in this world."""


def reword(searches: Searches, drawn: Collection[str]) -> tuple[str, ...]:
    """The last queries in other words, unless that was done often enough for what is drawn."""
    plain = [queries for queries in searches if not queries[0].endswith(REWORDINGS)]
    wanted = int("redundant_search" in drawn)
    if "long_trace" in drawn:
        wanted = max(wanted, LONG_SEARCHES - len(plain))
    done = len(searches) - len(plain)
    if not plain or done >= wanted:
        return ()
    return tuple(f"{query} {REWORDINGS[done]}" for query in plain[-1])


def strip_rewording(query: str) -> str:
    """A query as it was before `reword`."""
    for word in REWORDINGS:
        query = query.removesuffix(f" {word}")
    return query


def spoil_think(think: str, drawn: Collection[str], searches: Searches) -> tuple[str, list[str]]:
    """The reasoning with the bad manners that are drawn, and their names."""
    mistakes = [kind for kind in OPENINGS if kind in drawn and not searches]
    for kind in mistakes:
        think = f"{OPENINGS[kind]} {think}"
    if "long_trace" in drawn:
        mistakes.append("long_trace")
        for number in range(len(ASIDES)):
            aside = ASIDES[(3 * len(searches) + number) % len(ASIDES)]
            if len(think.split()) + len(aside.split()) > LONG_TURN_WORDS:
                break
            think = f"{think} {aside}"
    return think, mistakes


def spoil_answer(step: Step, passages: Passages, question: str, seed: int) -> Step:
    """Take another value of the same kind: one from the passages at hand, or a guess."""
    assert step.answer is not None
    places = read_facts(passages)
    if step.wants == "city":
        values = [title for title, facts in places.items() if "population" in facts]
    else:
        values = [facts.get(step.wants, "") for facts in places.values()]
    others = [value for value in (*values, *GUESSES[step.wants]) if value and value != step.answer]
    wrong = others[hash_parts("wrong", question, seed) % len(others)]
    return Step(step.think.replace(step.answer, wrong), answer=wrong, wants=step.wants)


def word_answer(step: Step, drawn: Collection[str], rates: Mapping[str, float], hint: str) -> Step:
    """The answer in the notation and the length that are drawn; as the hint has it, if it means
    the same.

    Models answer in sentences, and as the passage writes it, unless told otherwise: strict exact
    match 0.10 where a judge finds 0.61 (recipes for HotpotQA, 2026).
    """
    assert step.answer is not None
    answer = step.answer
    if rates.get("own_notation") and "own_notation" not in drawn:
        answer = tidy_value(step.wants, answer)
    if hint and tidy_value(step.wants, answer) == tidy_value(step.wants, hint):
        answer = hint
    if "long_answer" in drawn:
        answer = f"The {FACT_NAMES.get(step.wants, 'country')} is {answer}."
    return replace(step, answer=answer)


def break_tags(think: str, step: Step, number: int) -> str:
    """Write a turn that breaks the grammar in one of five ways."""
    turn = render_turn(think, queries=step.queries, answer=step.answer)
    action = turn.partition("</think>\n")[2]
    broken = (
        turn.replace("</think>", "", 1),
        action,
        f"<think>{think}</think>\n",
        f"<think>{think}</think>\nHere is what I do next.\n{action}",
        f"<think>{think}</think>\n{turn}",
    )
    return broken[number % len(broken)]
