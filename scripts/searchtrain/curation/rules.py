"""The rules by which a rollout is judged: a measure, the bound that a threshold is, its kind.

To add a rule, write a measure and a row in `RULES`, or for whole questions in `QUESTION_RULES`.
Invariant: a verdict is a number compared with the threshold, so that whoever has the number can
try another threshold; where there is no number the rule is passed.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from searchtrain.core.errors import InputError
from searchtrain.curation import measures
from searchtrain.curation.language import measure_foreign_share
from searchtrain.curation.rollouts import Question, Rollout

SWITCH = "true"
COUNT = "a number of at least 0"
SHARE = "a number from 0 to 1"
CORRECTNESS = "correctness"

Threshold = bool | int | float
Verdict = tuple[bool, float | None]
"""Whether the rule is passed, and what was measured."""
Bound = Callable[[Any, Any], Any]
"""How a number, or a column of numbers, must compare with the threshold."""
AT_LEAST: Bound = operator.ge
AT_MOST: Bound = operator.le


@dataclass(frozen=True, slots=True)
class Rule:
    """What is measured of one rollout, what for, and the threshold that the authors publish."""

    measure: Callable[[Rollout], float | None]
    dimension: str
    """One of SimpleDeepSearcher's four (format, reasoning_path, difficulty, search_effectiveness)
    or correctness."""
    bound: Bound = AT_LEAST
    kind: str = SWITCH
    """What switches it on."""
    published: Threshold | None = None
    """None: no published system has the rule."""
    source: str = ""

    def judge(self, rollout: Rollout, threshold: Threshold) -> Verdict:
        """The rule's verdict on a rollout."""
        value = self.measure(rollout)
        return value is None or self.bound(value, threshold), value


@dataclass(frozen=True, slots=True)
class QuestionRule:
    """The same for a question, with the seed for a draw; it holds for each of its rollouts."""

    measure: Callable[[Question, int], float | None]
    bound: Bound
    published: Threshold | None
    source: str
    kind: str = SHARE
    dimension: str = "difficulty"


CURATION = "SimpleDeepSearcher, response_curation.py"
FILTER = "SimpleDeepSearcher, format_filter.py"
JUDGE = "InfoSeek, judge of trajectories"
REWARD = "SimpleDeepSearcher, data of its reinforcement learning: 1 to 6 of 8 are right"
PATH = "reasoning_path"
SEARCH = "search_effectiveness"

RULES: dict[str, Rule] = {
    "answered": Rule(measures.check_answered, "format"),
    "unforced": Rule(measures.check_unforced, "format"),
    "exact_match": Rule(measures.check_exact_match, CORRECTNESS),
    "normalised_match": Rule(
        measures.check_normalised_match, CORRECTNESS, published=True, source=FILTER
    ),
    "contains_answer": Rule(
        measures.check_contains_answer, CORRECTNESS, published=True, source=CURATION
    ),
    "valid_grammar": Rule(measures.check_grammar, "format", published=True, source=CURATION),
    "supported": Rule(measures.check_supported, SEARCH),
    "no_repeated_query": Rule(measures.check_queries_differ, SEARCH),
    "first_turn_words": Rule(measures.count_first_turn_words, PATH, AT_MOST, COUNT, 300, CURATION),
    "turn_words": Rule(measures.count_turn_words, PATH, AT_MOST, COUNT, 300, CURATION),
    "total_words": Rule(measures.count_total_words, PATH, AT_MOST, COUNT, 3000, FILTER),
    "turns": Rule(measures.count_turns, PATH, AT_MOST, COUNT),
    "hedging_per_turn": Rule(measures.count_hedging_per_turn, PATH, AT_MOST, COUNT, 3, CURATION),
    "hedging_total": Rule(measures.count_hedging_total, PATH, AT_MOST, COUNT, 3, FILTER),
    "language": Rule(measure_foreign_share, PATH, AT_MOST, SHARE, 0, FILTER),
    "repetition": Rule(measures.measure_repetition, PATH, AT_MOST, SHARE, 0.3, CURATION),
    "looping": Rule(measures.measure_looping, PATH, AT_MOST, SHARE),
    "min_searches": Rule(measures.count_searches, SEARCH, AT_LEAST, COUNT, 1, CURATION),
    "distinct_sources": Rule(
        measures.measure_distinct_sources, SEARCH, AT_LEAST, SHARE, 0.95, CURATION
    ),
    "fallbacks": Rule(measures.count_fallbacks, SEARCH, AT_MOST, COUNT),
    "levels_reached": Rule(measures.measure_levels_reached, SEARCH),
    "searches_per_level": Rule(measures.measure_searches_per_level, SEARCH, AT_LEAST, COUNT),
    "genuine": Rule(measures.check_genuine, PATH, published=True, source=JUDGE),
}

QUESTION_RULES: dict[str, QuestionRule] = {
    "all_correct": QuestionRule(measures.draw_question, AT_LEAST, 0.8, CURATION),
    "min_correct_share": QuestionRule(measures.measure_correct_share, AT_LEAST, 0.125, REWARD),
    "max_correct_share": QuestionRule(measures.measure_correct_share, AT_MOST, 0.75, REWARD),
}


def select_rules(
    thresholds: Mapping[str, Any],
    rules: Mapping[str, Rule] | Mapping[str, QuestionRule],
    section: str,
) -> dict[str, Threshold]:
    """The rules that are on, in the order of `rules`, after a check of every threshold.

    `section`: of the config, for the message. Raises InputError naming the setting.
    """
    for name, threshold in thresholds.items():
        if name not in rules:
            raise InputError(f"{section}.{name}: unknown rule; known are {', '.join(rules)}")
        if _is_on(threshold) and not _fits(threshold, rules[name].kind):
            kind = rules[name].kind
            raise InputError(f"{section}.{name}: {threshold!r} is not {kind}, null or false")
    return {name: thresholds[name] for name in rules if _is_on(thresholds.get(name))}


def _is_on(threshold: Any) -> bool:
    return threshold is not None and threshold is not False


def _fits(threshold: Any, kind: str) -> bool:
    if kind == SWITCH:
        return threshold is True
    number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    return number and 0 <= threshold <= (1 if kind == SHARE else float("inf"))
