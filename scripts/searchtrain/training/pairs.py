"""Pairs of a better and a worse turn at the same place, found in a question's rollouts.

Two rollouts are at the same place where they have read the same passages. Kinds (`Preferences`):

search   a right rollout searches on; a wrong one answers what nothing that it has read supports
         (published: without such pairs DPO cuts searches from 2.7 to 2.0 a question)
answer   a right rollout's answer; a wrong one's
form     an answer in the form of the golden one; the same turn with the answer in another form
query    a right rollout's first search; that of a wrong one that never saw the answer, or that
         copies the question where the right one's does not
repeat   a new query, or an answer that what was read supports; a query asked before

Invariant: no pair prefers an answer to a search unless a golden answer stands in what was read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

import polars as pl

from searchtrain import config
from searchtrain.agent import grammar
from searchtrain.core.files import digest
from searchtrain.curation.phrases import fold_words
from searchtrain.curation.rollouts import Rollout
from searchtrain.data.answers import match_strict
from searchtrain.data.equivalence import match_meaning
from searchtrain.training.steps import Step, list_steps

COPIED = 0.8
"""Share of the question's words from which on a query that holds them copies it."""

Accept = Callable[[Mapping[str, Any]], bool]
"""Whether a row of `schemas.Trajectories` is right, supported and short enough to learn from."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two turns behind one conversation."""

    kind: str
    prefix: Sequence[Mapping[str, str]]
    """The stored messages that both follow."""
    chosen: str
    """The better turn as it is stored."""
    rejected: str
    rollouts: tuple[str, str]
    """Ids of the rollouts that they are from."""


class Path:
    """A rollout with what is known of it."""

    def __init__(self, row: Mapping[str, Any], accept: Accept) -> None:
        self.row = row
        self.id: str = row["id"]
        self.golds: list[str] = row["golden_answers"]
        self.steps = list_steps(row)
        last = self.steps[-1] if self.steps else None
        self.answer = last if last and last.answers else None
        """The step that answers, if the model wrote it itself."""
        self.good = self.answer is not None and accept(row)
        self.wrong = bool(row["answer"]) and not match_meaning(row["answer"], self.golds)

    def saw_answer(self) -> bool:
        """Whether a golden answer stands in what it has read at its end."""
        return bool(self.steps) and self.steps[-1].is_supported(self.golds)


def find_pairs(
    trajectories: pl.DataFrame, settings: config.Preferences, accept: Accept
) -> list[Pair]:
    """The pairs of every question, of each kind `per_question` at most.

    `trajectories`: `schemas.Trajectories`, the rollouts of a question one after the other. The
    pairs stand in the order of the questions, and of the kinds in `settings`.
    """
    rows = trajectories.iter_rows(named=True)
    pairs: list[Pair] = []
    for _, group in groupby(rows, lambda row: row["question_id"]):
        paths = [Path(row, accept) for row in group]
        # What was told the answer may name the hint, which no student may learn.
        paths = [path for path in paths if path.good or path.row["wave"] != "hinted"]
        for kind in settings.kinds:
            found = _list_different(FINDERS[kind](paths))
            pairs += islice(found, settings.per_question)
    return pairs


def draw_pairs(pairs: Sequence[Pair], settings: config.Preferences) -> list[Pair]:
    """At most `max_pairs` in their order; a pair is drawn or not by seed and content.

    Those of kind `search` are drawn from last: they are left out only where they alone would fill
    more than half of what is allowed.
    """
    most = settings.max_pairs
    if most is None or len(pairs) <= most:
        return list(pairs)
    by_kind: dict[bool, list[int]] = {True: [], False: []}
    for place, pair in sorted(enumerate(pairs), key=lambda each: _rank(each[1], settings.seed)):
        by_kind[pair.kind == "search"].append(place)
    room = max(most - len(by_kind[False]), most // 2)
    searches = by_kind[True][:room]
    drawn = {*searches, *by_kind[False][: most - len(searches)]}
    return [pair for place, pair in enumerate(pairs) if place in drawn]


def _rank(pair: Pair, seed: int) -> str:
    return digest([seed, pair.kind, pair.rollouts, pair.chosen, pair.rejected])


def _find_searches(paths: Sequence[Path]) -> Iterator[Pair]:
    for worse, step in _list_wrong_answers(paths):
        if step.is_supported(worse.golds):
            continue
        for better, other in _list_steps(_list_good(paths)):
            if not other.answers and other.read == step.read and not other.repeats:
                yield _make_pair("search", better, other, worse, step)


def _find_answers(paths: Sequence[Path]) -> Iterator[Pair]:
    for worse, step in _list_wrong_answers(paths):
        for better in _list_good(paths):
            other = better.answer
            if other and other.read == step.read and other.is_supported(better.golds):
                yield _make_pair("answer", better, other, worse, step)


def _find_forms(paths: Sequence[Path]) -> Iterator[Pair]:
    for path in paths:
        step = path.answer
        if step is None or path.wrong or match_strict(path.row["answer"], path.golds):
            continue
        if (chosen := _state(step, path)) != step.text:
            yield Pair("form", step.before, chosen, step.text, (path.id, path.id))


def _find_queries(paths: Sequence[Path]) -> Iterator[Pair]:
    for worse in paths:
        if not worse.wrong or not worse.steps or worse.steps[0].answers:
            continue
        first, missed = worse.steps[0], not worse.saw_answer()
        for better in _list_good(paths):
            other = better.steps[0]
            if other.answers or _copies(other, better) or _fold(other) == _fold(first):
                continue
            if missed or _copies(first, worse):
                yield _make_pair("query", better, other, worse, first)


def _find_repeats(paths: Sequence[Path]) -> Iterator[Pair]:
    for worse in paths:
        for number, step in enumerate(worse.steps):
            if not step.repeats:
                continue
            # What the same rollout did once it stopped repeating itself, if that led to the answer.
            later = (each for each in worse.steps[number + 1 :] if not each.repeats)
            right = match_strict(worse.row["answer"], worse.golds)
            own = [(worse, each) for each in islice(later, 1)] if right else []
            for better, other in [*_list_steps(_list_good(paths)), *own]:
                if other.repeats or other.read != step.read:
                    continue
                if other.answers and not other.is_supported(better.golds):
                    continue
                chosen = _state(other, better)
                yield Pair("repeat", step.before, chosen, step.text, (better.id, worse.id))


FINDERS: Mapping[str, Callable[[Sequence[Path]], Iterator[Pair]]] = {
    "search": _find_searches,
    "answer": _find_answers,
    "form": _find_forms,
    "query": _find_queries,
    "repeat": _find_repeats,
}


def find_form(step: Step, path: Path) -> str | None:
    """The shortest golden answer that a rollout's answer means and that it has read."""
    meant = [gold for gold in path.golds if match_meaning(path.row["answer"], [gold])]
    return min((gold for gold in meant if step.is_supported([gold])), key=len, default=None)


def _list_good(paths: Iterable[Path]) -> list[Path]:
    """The good rollouts, the shortest first."""
    good = [path for path in paths if path.good]
    return sorted(good, key=lambda path: (len(path.steps), Rollout(path.row).words))


def _list_steps(paths: Iterable[Path]) -> Iterator[tuple[Path, Step]]:
    return ((path, step) for path in paths for step in path.steps)


def _list_wrong_answers(paths: Iterable[Path]) -> Iterator[tuple[Path, Step]]:
    return ((path, path.answer) for path in paths if path.wrong and path.answer)


def _make_pair(kind: str, better: Path, chosen: Step, worse: Path, rejected: Step) -> Pair:
    ids = (better.id, worse.id)
    return Pair(kind, chosen.before, _state(chosen, better), rejected.text, ids)


def _state(step: Step, path: Path) -> str:
    """A step as it is to be learnt: an answer in the form of the golden one that it means."""
    if not step.answers or match_strict(path.row["answer"], path.golds):
        return step.text
    form = find_form(step, path)
    return grammar.render_turn(step.turn.think, answer=form) if form else step.text


def _list_different(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """Pairs of which no two have the same two turns."""
    seen = set()
    for pair in pairs:
        turns = (pair.chosen, pair.rejected)
        if pair.chosen != pair.rejected and turns not in seen:
            seen.add(turns)
            yield pair


def _fold(step: Step) -> set[str]:
    return set(map(fold_words, step.turn.queries))


def _copies(step: Step, path: Path) -> bool:
    """Whether one of a step's queries copies the question."""
    words = set(fold_words(path.row["question"]).split())
    return any(len(words & set(query.split())) >= COPIED * len(words) for query in _fold(step))
