"""What the rules measure of a rollout, or of a question: one function each.

A measure is a count, a share or, of a rule that is only on or off, whether it holds. It is None
where there is nothing to measure. Invariant: it depends on the rollout alone, or on the question
and, in a draw, the seed.
"""

import hashlib
import re
from itertools import chain

from searchtrain.agent import grammar
from searchtrain.agent.waves import HINTED
from searchtrain.core.errors import ProtocolError
from searchtrain.curation.phrases import fold_words, holds_phrase, lacks_word, list_content
from searchtrain.curation.rollouts import Question, Rollout, list_grams
from searchtrain.data.answers import match_normalised, match_strict
from searchtrain.data.equivalence import CLOSED

HINT = re.compile(
    r"\b(?:known|given|expected|provided|correct|gold(?:en)?) answer\b|\bhints?\b"
    r"|\b(?:was|am|been) (?:told|given) (?:that )?(?:the|an?) answer\b|\banswer (?:is|was) known\b"
)
"""Speaking of an answer that was given away, in lower case."""
ASKED = 4
"""Content words from which on a question can be of several hops."""
REPEATED = 3
"""Times from which on a sequence of words is repetition and not chance."""


def check_answered(rollout: Rollout) -> bool:
    """The rollout ended with an answer."""
    reason = rollout.row["stop_reason"]
    return bool(rollout.answer.strip()) and reason in ("answered", "forced_answer")


def check_unforced(rollout: Rollout) -> bool:
    """The model wrote its last turn itself; `grammar.FORCED_PREFIX` is no text to learn from."""
    return bool(rollout.row["stop_reason"] != "forced_answer")


def check_exact_match(rollout: Rollout) -> bool:
    """Strict exact match (the search-augmented task's score)."""
    return match_strict(rollout.answer, rollout.row["golden_answers"])


def check_normalised_match(rollout: Rollout) -> bool:
    """Exact match without letter case, punctuation and articles (SQuAD's, SimpleDeepSearcher's)."""
    return match_normalised(rollout.answer, rollout.row["golden_answers"])


def check_contains_answer(rollout: Rollout) -> bool:
    """A golden answer stands in the answer, by whole words, both normalised."""
    return any(holds_phrase(rollout.answer, gold) for gold in rollout.row["golden_answers"])


def check_same_meaning(rollout: Rollout) -> bool:
    """The answer means a golden one in any of the ways of `data.equivalence`, or as a judge says
    (SimpleDeepSearcher lets a model judge; here it is asked where no rule decides)."""
    return rollout.meaning is not None


def check_grammar(rollout: Rollout) -> bool:
    """Every turn and every observation follows the grammar."""
    try:
        grammar.validate_trajectory(rollout.row["messages"])
    except ProtocolError:
        return False
    return True


def check_supported(rollout: Rollout) -> bool:
    """The rollout searched, and its answer stands word for word in what was retrieved.

    Both sides without letter case, punctuation and articles; an answer of yes or no needs only a
    search. What the observation adds itself (the query, a passage's number) supports nothing. Where
    equivalent answers are right, a golden answer may stand there in its place, in any notation.
    """
    if not rollout.row["searches"]:
        return False
    if rollout.answer.strip().lower() in CLOSED:
        return True
    if rollout.answers.equivalent and rollout.meaning and rollout.alias:
        return True
    # Last one first: an answer is mostly in what was read before it.
    return any(
        message["role"] == grammar.OBSERVATION
        and not lacks_word(message["content"], rollout.answer)
        and holds_phrase(grammar.read_observation(message["content"]), rollout.answer)
        for message in reversed(rollout.row["messages"])
    )


def check_hint_unnamed(rollout: Rollout) -> bool | None:
    """The reasoning does not speak of the answer that the teacher was told (a hinted rollout's)."""
    if rollout.row["wave"] != HINTED:
        return None
    return not any(HINT.search(thought) for thought in rollout.thoughts)


def check_hint_supported(rollout: Rollout) -> bool | None:
    """`check_supported`, of a hinted rollout: what it was told counts only with evidence."""
    return check_supported(rollout) if rollout.row["wave"] == HINTED else None


def check_queries_differ(rollout: Rollout) -> bool:
    """No query comes twice, letter case, punctuation and white space aside."""
    queries = [fold_words(query) for turn in rollout.row["queries"] for query in turn]
    return len(set(queries)) == len(queries)


def measure_first_query(rollout: Rollout) -> float | None:
    """The largest share of the question's content words that one query of the first search has.

    A multi-hop question asked as it stands finds less than its parts do: SearchSkill (2605.09038)
    counts 93.5 % of first queries that copy the question in Search-R1 and 76 % in its own agent.
    None without a search, or for a question of less than `ASKED` content words: asked as it
    stands, "the capital of Norway" is no copy but the query.
    """
    asked, queries = list_content(rollout.row["question"]), rollout.row["queries"]
    if len(asked) < ASKED or not queries:
        return None
    shares = (len(asked & list_content(query)) / len(asked) for query in queries[0])
    return max(shares, default=None)


def count_first_turn_words(rollout: Rollout) -> int:
    """Words of the first turn's reasoning."""
    return len(rollout.think_words[0]) if rollout.think_words else 0


def count_turn_words(rollout: Rollout) -> int:
    """Words of the longest turn's reasoning."""
    return max(map(len, rollout.think_words), default=0)


def count_total_words(rollout: Rollout) -> int:
    """Words of all turns together; observations do not count."""
    return rollout.words


def count_turns(rollout: Rollout) -> int:
    """Assistant turns."""
    return len(rollout.thoughts)


def count_hedging_per_turn(rollout: Rollout) -> int:
    """How often one turn's reasoning has one of `HEDGES`, at most.

    In any letter case: the published code counts "wait" and misses "Wait", with which a sentence
    begins.
    """
    return max((count for turn in rollout.hedges for count in turn.values()), default=0)


def count_hedging_total(rollout: Rollout) -> int:
    """How often the whole reasoning (not the observations, too) has "alternatively"."""
    return sum(turn.get("alternatively", 0) for turn in rollout.hedges)


def measure_repetition(rollout: Rollout) -> float:
    """The share of the most frequent sequence of three words of all of the reasoning's.

    One that occurs less than `REPEATED` times is no loop, however short the reasoning is.
    """
    top = max(rollout.trigrams.values(), default=0)
    return top / rollout.trigrams.total() if top >= REPEATED else 0.0


def measure_looping(rollout: Rollout) -> float:
    """How far a turn goes round in circles: share of its four-word sequences that it had before.

    That is seq-rep-4 of Welleck et al. 2020 (Neural Text Generation with Unlikelihood Training),
    the largest of all turns. Saying a phrase k times over gives about (k - 1) / k, be it long or
    short, where each sequence of three words (`repetition`) has a small share of a long phrase.
    """
    # Mostly no sequence of three words comes twice, and that settles it.
    if len(rollout.trigrams) == rollout.trigrams.total():
        return 0.0
    shares = (
        1 - len(set(list_grams(words, 4))) / (len(words) - 3)
        for words in rollout.think_words
        if len(words) > 3
    )
    return max(shares, default=0.0)


def count_searches(rollout: Rollout) -> int:
    """Turns that search."""
    return int(rollout.row["searches"])


def measure_distinct_sources(rollout: Rollout) -> float | None:
    """The share of all hits that are distinct ones (searches bring something new).

    By id, which is the URL on the web (the published code counts titles, and divides by ten hits a
    search however many came). None without hits: `min_searches` judges that.
    """
    hits = list(chain.from_iterable(rollout.row["retrieved_ids"]))
    return len(set(hits)) / len(hits) if hits else None


def count_fallbacks(rollout: Rollout) -> int:
    """Queries whose passages were shown as they came, not refined."""
    return int(rollout.row["fallbacks"])


def count_repairs(rollout: Rollout) -> int:
    """Repairs that the rollout's turns took before they could be read (`agent.reading`)."""
    return len(rollout.row["repairs"])


def measure_levels_reached(rollout: Rollout) -> float | None:
    """The share of the levels of the question's tree whose pages all came back from a search.

    Who answers before all did has guessed or remembered. None for a question without a tree.
    """
    levels = rollout.row.get("levels")
    if not levels:
        return None
    found = set(chain.from_iterable(rollout.row["retrieved_ids"]))
    return sum(found.issuperset(level) for level in levels) / len(levels)


def measure_searches_per_level(rollout: Rollout) -> float | None:
    """Searching turns per level of the question's tree, however many queries.

    One search for a question of several levels is a shortcut (InfoSeek). None for a question
    without a tree.
    """
    levels = rollout.row.get("levels")
    return count_searches(rollout) / len(levels) if levels else None


def check_genuine(rollout: Rollout) -> bool | None:
    """A judge found that the rollout reasons its way to the answer, without a shortcut.

    Not so of a rollout that it did not see, or gave no verdict on. None for a question without a
    tree.
    """
    return rollout.row.get("genuine") is True if rollout.row.get("levels") else None


def draw_question(question: Question) -> float | None:
    """The number drawn for a question whose rollouts are all right.

    None for any other, and for one that has a single rollout: that one was right says too little of
    how hard the question is, and as a rule of all questions it would drop nearly all that there is
    to keep.
    """
    undrawn = question.share < 1 or question.rollouts < 2
    return None if undrawn else draw_number(question.id, question.seed)


def measure_correct_share(question: Question) -> float:
    """The share of the question's rollouts that are right."""
    return question.share


def draw_number(key: str, seed: int) -> float:
    """A number from 0 to 1 that depends on these two alone, uniform over the keys."""
    digest = hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
