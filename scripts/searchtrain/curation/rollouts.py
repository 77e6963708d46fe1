"""A rollout and a question as the rules see them.

Invariant: what several rules read off a rollout is read once. A rollout's reasoning is what its
turns think; observations are not the model's words and count in no rule on reasoning.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from searchtrain.agent import grammar
from searchtrain.config import AnswerForms
from searchtrain.core.errors import InputError
from searchtrain.data.equivalence import CLOSED, Match, holds_value, match_meaning

HEDGES = {
    "alternatively": re.compile(r"alternatively\b"),
    "hmm": re.compile(r"hmm+\b"),
    "wait": re.compile(r"wait\b"),
}
"""SimpleDeepSearcher's signs of going in circles, in lower case."""


JUDGED = "judged"
"""The kind of a match that only a judge saw."""
EXACT = AnswerForms()
"""As the config's defaults have it."""


class Rollout:
    """One row of `schemas.Trajectories`.

    The row also has `levels` (of the question's tree, see `join_levels`) and `genuine`
    (`schemas.Shortcuts`) where the questions and the judge's verdicts are given, and `equivalent`
    (`schemas.Equivalents`).
    """

    def __init__(self, row: Mapping[str, Any], answers: AnswerForms = EXACT) -> None:
        self.row = row
        self.answers = answers
        self.answer: str = row["answer"]
        self.thoughts: list[str] = []
        """Per turn its reasoning, in lower case."""
        self.think_words: list[list[str]] = []
        """Per turn the words of its reasoning, in lower case."""
        self.words = 0
        """Of all turns, whole."""
        for message in row["messages"]:
            if message["role"] != grammar.ASSISTANT:
                continue
            turn = message["content"]
            think = grammar.read_think(turn).lower()
            words = think.split()
            self.thoughts.append(think)
            self.think_words.append(words)
            # Splitting takes long, so only what follows the reasoning is split once more.
            rest = turn.partition("</think>")[2] if len(think) < len(turn) else ""
            self.words += len(words) + len(rest.split())

    @cached_property
    def hedges(self) -> list[dict[str, int]]:
        """Per turn how often its reasoning has each of `HEDGES`, those that it lacks left out."""
        return [
            {word: _count_word(thought, HEDGES[word]) for word in HEDGES if word in thought}
            for thought in self.thoughts
        ]

    @cached_property
    def meaning(self) -> Match | None:
        """The golden answer that the answer means, and how; a judge does not say which."""
        golds = self.row["golden_answers"]
        match = match_meaning(self.answer, golds, self.answers.max_words)
        if match is None and self.row.get("equivalent") and golds:
            return Match(golds[0], JUDGED)
        return match

    @cached_property
    def alias(self) -> str | None:
        """The shortest golden answer that the trace supports, in any notation; first of those that
        the answer itself means, and of these of those that stand in the trace letter by letter, so
        that a student can copy what it reads. None where the trace supports none."""
        golds = [gold for gold in self.row["golden_answers"] if self._holds(gold)]
        words = self.answers.max_words
        meant = [gold for gold in golds if match_meaning(self.answer, [gold], words)]
        written = [gold for gold in meant or golds if self._shows(gold)]
        return min(written or meant or golds, key=len, default=None)

    @cached_property
    def observations(self) -> list[str]:
        """What the passages of each search say, the last one first, as answers mostly stand in
        what was read before them."""
        return [
            grammar.read_observation(message["content"])
            for message in reversed(self.row["messages"])
            if message["role"] == grammar.OBSERVATION
        ]

    def _holds(self, gold: str) -> bool:
        if gold.strip().lower() in CLOSED:
            return bool(self.observations) and match_meaning(self.answer, [gold]) is not None
        return any(holds_value(text, gold) for text in self.observations)

    def _shows(self, gold: str) -> bool:
        words = re.compile(rf"(?<!\w){re.escape(gold.strip())}(?!\w)", re.IGNORECASE)
        return any(words.search(text) for text in self.observations)

    @cached_property
    def trigrams(self) -> Counter[tuple[str, ...]]:
        """How often the reasoning has each sequence of three words."""
        counts: Counter[tuple[str, ...]] = Counter()
        for words in self.think_words:
            counts.update(list_grams(words, 3))
        return counts


@dataclass(frozen=True, slots=True)
class Question:
    """What a question's rollouts came to."""

    id: str
    rollouts: int
    share: float
    """Of the rollouts that are right."""
    seed: int
    """For a draw."""


def list_grams(words: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """Every sequence of `size` words."""
    return zip(*(words[start:] for start in range(size)), strict=False)


def join_levels(trajectories: pl.DataFrame, questions: pl.DataFrame) -> pl.DataFrame:
    """Add the column `levels` of `schemas.Questions` to rollouts (empty for seeds).

    Raises InputError for a rollout of a question that is not among them.
    """
    levels = questions.select(pl.col("id").alias("question_id"), "levels")
    joined = trajectories.join(levels, on="question_id", how="left", maintain_order="left")
    unknown = joined.filter(pl.col("levels").is_null())["question_id"]
    if not unknown.is_empty():
        raise InputError(
            f"trajectories: question_id {unknown[0]!r} ({unknown.n_unique()} such ids) is not among"
            " the questions; roll the present questions out again"
        )
    return joined


def join_verdicts(
    trajectories: pl.DataFrame, verdicts: pl.DataFrame, column: str, name: str
) -> pl.DataFrame:
    """Add a column of a judge's verdicts, null where it gave none; `name`: of them, for messages.

    Raises InputError for a verdict on a rollout that is not there.
    """
    stale = verdicts["id"].filter(~verdicts["id"].is_in(trajectories["id"].implode()))
    if not stale.is_empty():
        raise InputError(
            f"{name}: id {stale[0]!r} ({stale.len()} such ids) is no rollout of the"
            " trajectories; judge the present ones"
        )
    given = verdicts.select("id", column)
    return trajectories.join(given, on="id", how="left", maintain_order="left")


def _count_word(text: str, word: re.Pattern[str]) -> int:
    # A pattern that begins with the letters is searched many times faster than one with \b.
    starts = (match.start() for match in word.finditer(text))
    return sum(not text[max(start - 1, 0) : start].isalnum() for start in starts)
