"""A rollout as a row of steps: what it had read before each turn, and what it did then.

Invariant: a step's `before` and `text` are messages of the rollout as they are stored; steps end
before the first turn that cannot be read, that the environment wrote a part of, or whose search was
refused, so that what was read is what was asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from searchtrain.agent import grammar
from searchtrain.core.errors import ProtocolError
from searchtrain.curation.phrases import fold_words
from searchtrain.data.equivalence import CLOSED, holds_value


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of a rollout."""

    before: Sequence[Mapping[str, str]]
    """The messages that the turn follows."""
    text: str
    """The turn as it is stored."""
    turn: grammar.Turn
    read: frozenset[str]
    """Ids of the passages that stand before it."""
    asked: frozenset[str]
    """The queries before it, folded."""

    @property
    def answers(self) -> bool:
        """Whether it answers; else it searches."""
        return self.turn.answer is not None

    @property
    def repeats(self) -> bool:
        """Whether it searches for nothing that was not searched for before."""
        return not self.answers and set(map(fold_words, self.turn.queries)) <= self.asked

    def is_supported(self, golds: Sequence[str]) -> bool:
        """Whether a golden answer stands in what was read; of yes or no, whether something was."""
        observed = [each for each in self.before if each["role"] == grammar.OBSERVATION]
        if any(gold.strip().lower() in CLOSED for gold in golds):
            return bool(observed)
        texts = [grammar.read_observation(each["content"]) for each in observed]
        return any(holds_value(text, gold) for text in texts for gold in golds)


def list_steps(row: Mapping[str, Any]) -> list[Step]:
    """The steps of a row of `schemas.Trajectories`."""
    messages, sources = row["messages"], row["sources"]
    steps: list[Step] = []
    read: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    places = [n for n, each in enumerate(messages) if each["role"] == grammar.ASSISTANT]
    for number, place in enumerate(places):
        text = messages[place]["content"]
        forced = text.startswith(grammar.FORCED_PREFIX)
        try:
            turn = grammar.parse_turn(text)
        except ProtocolError:
            break
        if forced or number > len(sources):
            break
        steps.append(Step(messages[:place], text, turn, read, asked))
        if number < len(sources):
            read |= set(sources[number])
            asked |= set(map(fold_words, turn.queries))
    return steps
