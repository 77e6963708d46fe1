"""The rules by which a rollout is judged: a measure, the bound that a threshold is, its kind.

To add a rule, write a measure and a row in `RULES`, or for whole questions in `QUESTION_RULES`.
Invariant: a verdict is a number compared with the threshold, so that whoever has the number can
try another threshold; where there is no number the rule is passed.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from searchtrain import config
from searchtrain.curation import measures
from searchtrain.curation.language import measure_foreign_share
from searchtrain.curation.rollouts import Question, Rollout

Judged = TypeVar("Judged", Rollout, Question)
Threshold = bool | int | float
Bound = Callable[[Any, Any], Any]
"""How a number, or a column of numbers, must compare with the threshold."""
AT_LEAST: Bound = operator.ge
AT_MOST: Bound = operator.le


@dataclass(frozen=True, slots=True)
class Rule(Generic[Judged]):
    """What is measured of one rollout, or of a question and so of each of its rollouts, what for,
    and the threshold that the authors publish."""

    measure: Callable[[Judged], float | None]
    dimension: str
    """One of SimpleDeepSearcher's four (format, reasoning_path, difficulty, search_effectiveness)
    or correctness."""
    bound: Bound = AT_LEAST
    published: Threshold | None = None
    """None: no published system has the rule."""
    source: str = ""

    def passes(self, judged: Judged, threshold: Threshold) -> bool:
        """The rule's verdict."""
        value = self.measure(judged)
        return value is None or self.bound(value, threshold)


CURATION = "SimpleDeepSearcher, response_curation.py"
FILTER = "SimpleDeepSearcher, format_filter.py"
JUDGE = "InfoSeek, judge of trajectories"
REWARD = "SimpleDeepSearcher, data of its reinforcement learning: 1 to 6 of 8 are right"
CORRECTNESS = "correctness"
DIFFICULTY = "difficulty"
PATH = "reasoning_path"
SEARCH = "search_effectiveness"

RULES: dict[str, Rule[Rollout]] = {
    "answered": Rule(measures.check_answered, "format"),
    "unforced": Rule(measures.check_unforced, "format"),
    "exact_match": Rule(measures.check_exact_match, CORRECTNESS),
    "normalised_match": Rule(measures.check_normalised_match, CORRECTNESS, AT_LEAST, True, FILTER),
    "contains_answer": Rule(measures.check_contains_answer, CORRECTNESS, AT_LEAST, True, CURATION),
    "same_meaning": Rule(measures.check_same_meaning, CORRECTNESS),
    "valid_grammar": Rule(measures.check_grammar, "format", AT_LEAST, True, CURATION),
    "supported": Rule(measures.check_supported, SEARCH),
    "hint_unnamed": Rule(measures.check_hint_unnamed, PATH),
    "hint_supported": Rule(measures.check_hint_supported, SEARCH),
    "no_repeated_query": Rule(measures.check_queries_differ, SEARCH),
    "first_query_copies": Rule(measures.measure_first_query, SEARCH, AT_MOST),
    "repairs": Rule(measures.count_repairs, "format", AT_MOST),
    "first_turn_words": Rule(measures.count_first_turn_words, PATH, AT_MOST, 300, CURATION),
    "turn_words": Rule(measures.count_turn_words, PATH, AT_MOST, 300, CURATION),
    "total_words": Rule(measures.count_total_words, PATH, AT_MOST, 3000, FILTER),
    "turns": Rule(measures.count_turns, PATH, AT_MOST),
    "hedging_per_turn": Rule(measures.count_hedging_per_turn, PATH, AT_MOST, 3, CURATION),
    "hedging_total": Rule(measures.count_hedging_total, PATH, AT_MOST, 3, FILTER),
    "language": Rule(measure_foreign_share, PATH, AT_MOST, 0, FILTER),
    "repetition": Rule(measures.measure_repetition, PATH, AT_MOST, 0.3, CURATION),
    "looping": Rule(measures.measure_looping, PATH, AT_MOST),
    "min_searches": Rule(measures.count_searches, SEARCH, AT_LEAST, 1, CURATION),
    "distinct_sources": Rule(measures.measure_distinct_sources, SEARCH, AT_LEAST, 0.95, CURATION),
    "fallbacks": Rule(measures.count_fallbacks, SEARCH, AT_MOST),
    "levels_reached": Rule(measures.measure_levels_reached, SEARCH),
    "searches_per_level": Rule(measures.measure_searches_per_level, SEARCH, AT_LEAST),
    "genuine": Rule(measures.check_genuine, PATH, AT_LEAST, True, JUDGE),
}

QUESTION_RULES: dict[str, Rule[Question]] = {
    "all_correct": Rule(measures.draw_question, DIFFICULTY, AT_LEAST, 0.8, CURATION),
    "min_correct_share": Rule(measures.measure_correct_share, DIFFICULTY, AT_LEAST, 0.125, REWARD),
    "max_correct_share": Rule(measures.measure_correct_share, DIFFICULTY, AT_MOST, 0.75, REWARD),
}


def select_rollout_rules(settings: config.Curate) -> dict[str, Threshold]:
    """The rules on rollouts that are on: where equivalent answers are right, `same_meaning` in
    place of the others on correctness."""
    rules = select_rules(settings.rules, RULES)
    if not settings.answers.equivalent:
        return rules
    rules["same_meaning"] = True
    return {
        name: rules[name]
        for name in RULES
        if name in rules and (name == "same_meaning" or RULES[name].dimension != CORRECTNESS)
    }


def select_rules(
    settings: config.Rules | config.QuestionRules, rules: Mapping[str, Any]
) -> dict[str, Threshold]:
    """The rules that are on with their thresholds, in the order of `rules`."""
    given = ((name, getattr(settings, name)) for name in rules)
    return {name: value for name, value in given if value is not None and value is not False}
