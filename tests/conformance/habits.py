"""How models leave the format that they were told: one deviation of a turn or of a JSON answer.

Invariant: under every deviation the turn still says the same queries or the same answer to a person
who reads its first action.
"""

import json
from collections.abc import Callable, Sequence

from searchtrain.agent.grammar import render_turn
from searchtrain.demo.draws import hash_parts

Turn = tuple[str, Sequence[str], str | None]
"""Thought, queries, answer."""

INVENTED_PASSAGE = (
    "\n\n<information>\nDoc 1 (Title: Nowhere) A city in Nowhere with 5 people.\n</information>\n\n"
)
INVENTED = f"{INVENTED_PASSAGE}<think>The passage names it.</think>\n<answer>Nowhere</answer>"
"""What a model writes behind a search that no one stops it at: its own observation and answer."""
FAREWELL = "\n\nI hope that this helps. If <information> is missing, tell me."


def _searches(mark: Callable[[int, str], str]) -> Callable[[Turn], str]:
    def deviate(turn: Turn) -> str:
        think, queries, _ = turn
        marked = [mark(number, query) for number, query in enumerate(queries, 1)]
        return render_turn(think, queries=marked)

    return deviate


def _answers(phrase: str) -> Callable[[Turn], str]:
    return lambda turn: render_turn(turn[0], answer=phrase.format(turn[2]))


def _render(turn: Turn) -> str:
    think, queries, answer = turn
    return render_turn(think, queries=queries, answer=answer)


def _write_two_actions(turn: Turn) -> str:
    second = "<answer>Nowhere</answer>" if turn[1] else "<search>one more look</search>"
    return f"{_render(turn)}\n{second}"


def _write_second_thought(turn: Turn) -> str:
    return f"<think>First I look at what is asked.</think>\n{_render(turn)}"


def _write_capitals(turn: Turn) -> str:
    text = _render(turn)
    for tag in ("think", "search", "answer"):
        text = text.replace(f"<{tag}>", f"<{tag.title()}>").replace(
            f"</{tag}>", f"</{tag.title()}>"
        )
    return text


OF_ANY: dict[str, Callable[[Turn], str]] = {
    "prose": lambda turn: f"Sure! Here is my next step.\n\n{_render(turn)}",
    "fence": lambda turn: f"```xml\n{_render(turn)}\n```",
    "named_tag": lambda turn: _render((f"Now I use <search> or <answer>. {turn[0]}", *turn[1:])),
    "two_actions": _write_two_actions,
    "text_after": lambda turn: f"{_render(turn)}\n\nI will wait for the results.",
    "second_thought": _write_second_thought,
    "capitals": _write_capitals,
}
OF_SEARCHES: dict[str, Callable[[Turn], str]] = {
    "bullets": _searches(lambda _, query: f"- {query}"),
    "quotes": _searches(lambda _, query: f'"{query}"'),
    "numbers": _searches(lambda number, query: f"{number}) {query}"),
    "invented": lambda turn: _render(turn) + INVENTED,
}
OF_ANSWERS: dict[str, Callable[[Turn], str]] = {
    "label": _answers("Answer: {}."),
    "bold": _answers("**{}**"),
    "sentence": _answers("The answer is {}."),
}


def deviate_turn(turn: Turn, key: str) -> tuple[str, str]:
    """One deviation of a turn, drawn by `key`: its text and its name."""
    known = OF_ANY | (OF_SEARCHES if turn[1] else OF_ANSWERS)
    name = list(known)[hash_parts("deviation", key) % len(known)]
    return known[name](turn), name


def deviate_json(text: str, key: str, *, told: bool) -> tuple[str, str]:
    """One deviation of a JSON answer; `told`: it was told of a fault, and adds no key again."""
    known: dict[str, Callable[[str], str]] = {
        "prose": lambda text: f"Here is the JSON {{as you asked}}:\n\n{text}",
        "fence": lambda text: f"```json\n{text}\n```",
        "prose_after": lambda text: (
            f"{text}\n\nI kept to the set {{domain, points}} that you gave."
        ),
    }
    if not told:
        known["extra_key"] = lambda text: json.dumps({**json.loads(text), "confidence": 0.9})
    name = list(known)[hash_parts("json", key) % len(known)]
    return known[name](text), name
