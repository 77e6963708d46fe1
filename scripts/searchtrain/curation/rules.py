"""The rules by which a rollout is judged: a check, its kind of threshold, its published value.

To add a rule, write a function `(rollout, threshold) -> (passed, what was measured)` and a row in
`RULES`, or for whole questions in `QUESTION_RULES`. A rollout's reasoning is what its turns think;
observations are not the model's words and count in no rule on reasoning.
Invariant: a verdict depends on the rollout, the threshold and, in a draw, the seed alone.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from typing import Any

import polars as pl

from searchtrain.agent import grammar
from searchtrain.core.errors import InputError, ProtocolError
from searchtrain.data.answers import PUNCTUATION, match_normalised, match_strict

ARTICLES = frozenset(("a", "an", "the"))
SPACES = [chr(code) for code in range(0x3001) if chr(code).isspace()]
WORDS = PUNCTUATION | str.maketrans(dict.fromkeys(SPACES, " "))
"""Takes ASCII punctuation out and makes every white space a plain one."""
NO_SPAN = frozenset(("yes", "no", "true", "false"))
"""Answers that are a judgement and stand in no passage."""
HEDGES = {
    "alternatively": re.compile(r"alternatively\b"),
    "hmm": re.compile(r"hmm+\b"),
    "wait": re.compile(r"wait\b"),
}
"""SimpleDeepSearcher's signs of going in circles, in lower case."""
NOT_LATIN = re.compile(r"[^\W\d_\x00-\u02ff\u1e00-\u1eff]+")
"""A run of letters that are not Latin."""
ASIAN = frozenset(("CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "BOPOMOFO"))
"""Chinese and Japanese are told apart by no single letter, so they are one script here."""
LATIN = frozenset(("LATIN", "MODIFIER"))
SCRIPT_SHARE = 0.1
"""Of a question's letters: a script that has less is in it as a name."""

REPEATED = 3
"""Times from which on a sequence of words is repetition and not chance."""

NO_TREE = "no tree"
"""What rules on a research tree measure of a question that has none."""

SWITCH = "true"
COUNT = "a number of at least 0"
SHARE = "a number from 0 to 1"
CORRECTNESS = "correctness"

Threshold = bool | int | float
Verdict = tuple[bool, str]


class Rollout:
    """One row of `schemas.Trajectories` and what several rules read off it, measured once.

    Where they are known the row also has `levels` (of the question's tree, see `join_levels`) and
    `genuine` (`schemas.Shortcuts`).
    """

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.row = row
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
    def word_counts(self) -> list[tuple[int, int]]:
        """Per turn how many distinct words its reasoning has, and the most frequent one's count."""
        counts = map(Counter, self.think_words)
        return [(len(count), max(count.values(), default=0)) for count in counts]


@dataclass(frozen=True, slots=True)
class Question:
    """What a question's rollouts came to."""

    id: str
    rollouts: int
    share: float
    """Of the rollouts that are right."""


def check_answered(rollout: Rollout, _: Threshold) -> Verdict:
    """The rollout ended with an answer."""
    reason = rollout.row["stop_reason"]
    return bool(rollout.answer.strip()) and reason in ("answered", "forced_answer"), reason


def check_unforced(rollout: Rollout, _: Threshold) -> Verdict:
    """The model wrote its last turn itself; `grammar.FORCED_PREFIX` is no text to learn from."""
    reason = rollout.row["stop_reason"]
    return reason != "forced_answer", reason


def check_exact_match(rollout: Rollout, _: Threshold) -> Verdict:
    """Strict exact match (the search-augmented task's score)."""
    return match_strict(rollout.answer, rollout.row["golden_answers"]), rollout.answer


def check_normalised_match(rollout: Rollout, _: Threshold) -> Verdict:
    """Exact match without letter case, punctuation and articles (SQuAD's, SimpleDeepSearcher's)."""
    return match_normalised(rollout.answer, rollout.row["golden_answers"]), rollout.answer


def check_contains_answer(rollout: Rollout, _: Threshold) -> Verdict:
    """A golden answer stands in the answer, both normalised.

    By whole words: letter by letter, as the published code has it, "Somalia" would hold "Mali" and
    "1912" would hold "12".
    """
    golds = rollout.row["golden_answers"]
    return any(holds_phrase(rollout.answer, gold) for gold in golds), rollout.answer


def check_grammar(rollout: Rollout, _: Threshold) -> Verdict:
    """Every turn and every observation follows `protocol`."""
    try:
        grammar.validate_trajectory(rollout.row["messages"])
    except ProtocolError as error:
        return False, error.kind
    return True, "valid"


def check_supported(rollout: Rollout, _: Threshold) -> Verdict:
    """The rollout searched, and its answer stands word for word in what was retrieved.

    Both sides without letter case, punctuation and articles; an answer of yes or no needs only a
    search. What the observation adds itself (the query, a passage's number) supports nothing.
    """
    if not rollout.row["searches"]:
        return False, "no search"
    if rollout.answer.strip().lower() in NO_SPAN:
        return True, "judgement"
    # Last one first: an answer is mostly in what was read before it.
    for message in reversed(rollout.row["messages"]):
        if (
            message["role"] == grammar.OBSERVATION
            and not _lacks_word(message["content"], rollout.answer)
            and holds_phrase(grammar.read_observation(message["content"]), rollout.answer)
        ):
            return True, "found"
    return False, "not found"


def check_repeated_query(rollout: Rollout, _: Threshold) -> Verdict:
    """No query is asked twice, letter case, punctuation and white space aside."""
    queries = [fold_words(query) for turn in rollout.row["queries"] for query in turn]
    repeated = next((query for query, count in Counter(queries).items() if count > 1), "")
    return not repeated, repeated


def check_first_turn_words(rollout: Rollout, most: Threshold) -> Verdict:
    """The first turn's reasoning has at most this many words."""
    words = len(rollout.think_words[0]) if rollout.think_words else 0
    return words <= most, str(words)


def check_turn_words(rollout: Rollout, most: Threshold) -> Verdict:
    """No turn's reasoning has more than this many words."""
    longest = max(map(len, rollout.think_words), default=0)
    return longest <= most, str(longest)


def check_total_words(rollout: Rollout, most: Threshold) -> Verdict:
    """All turns together have at most this many words; observations do not count."""
    return rollout.words <= most, str(rollout.words)


def check_turns(rollout: Rollout, most: Threshold) -> Verdict:
    """At most this many assistant turns."""
    turns = len(rollout.thoughts)
    return turns <= most, str(turns)


def check_hedging_per_turn(rollout: Rollout, most: Threshold) -> Verdict:
    """Each of `HEDGES` at most so often in one turn's reasoning.

    In any letter case: the published code counts "wait" and misses "Wait", with which a sentence
    begins.
    """
    counts = [(count, word) for turn in rollout.hedges for word, count in turn.items()]
    count, word = max(counts, default=(0, ""))
    return count <= most, f"{count} {word}".strip()


def check_hedging_total(rollout: Rollout, most: Threshold) -> Verdict:
    """ "Alternatively" at most so often in the whole reasoning (not in the observations, too)."""
    count = sum(turn.get("alternatively", 0) for turn in rollout.hedges)
    return count <= most, str(count)


def check_language(rollout: Rollout, most: Threshold) -> Verdict:
    """No turn reasons in another language, as far as its script shows it.

    Measured is the share of a turn's letters that are of neither Latin script (names and terms are
    written in it everywhere) nor a script of the question, the largest of all turns. Words that
    stand in the question, the queries, the answer or an observation are quotations and do not
    count. The published code drops whatever has a Chinese character anywhere.
    """
    share = 0.0
    known = ""
    allowed: set[str] = set()
    for thought in rollout.thoughts:
        if thought.isascii() or not NOT_LATIN.search(thought):
            continue
        if not known:
            known = _fold_letters(_join_sources(rollout.row))
            allowed = LATIN | _list_scripts(_fold_letters(rollout.row["question"]))
        think = _fold_letters(thought)
        runs = [run for run in NOT_LATIN.findall(think) if run not in known]
        letters = [letter for run in runs for letter in run if letter.isalpha()]
        foreign = sum(_name_script(letter) not in allowed for letter in letters)
        if foreign:
            latin = sum(map(str.isalpha, NOT_LATIN.sub("", think)))
            share = max(share, foreign / (latin + len(letters)))
    return share <= most, f"{share:.2f}"


def check_repetition(rollout: Rollout, most: Threshold) -> Verdict:
    """No sequence of three words is more than this share of all of the reasoning's.

    One that occurs less than `REPEATED` times is no loop, however short the reasoning is.
    """
    total = sum(max(0, len(words) - 2) for words in rollout.think_words)
    # No sequence is more frequent than a word in it, and mostly that settles it.
    bound = sum(count for _, count in rollout.word_counts) / max(total, 1)
    if bound <= most:
        return True, f"<= {bound:.2f}"
    grams = Counter(chain.from_iterable(_list_grams(words, 3) for words in rollout.think_words))
    top = max(grams.values(), default=0)
    share = top / total if top >= REPEATED else 0.0
    return share <= most, f"{share:.2f}"


def check_looping(rollout: Rollout, most: Threshold) -> Verdict:
    """No turn goes round in circles: share of its sequences of four words that it had before.

    That is seq-rep-4 of Welleck et al. 2020 (Neural Text Generation with Unlikelihood Training),
    the largest of all turns. Saying a phrase k times over gives about (k - 1) / k, be it long or
    short, where each sequence of three words (`repetition`) has a small share of a long phrase.
    """
    top, bound = 0.0, 0.0
    for words, (distinct, _) in zip(rollout.think_words, rollout.word_counts, strict=True):
        total = max(len(words) - 3, 1)
        # The first occurrence of a word ends a new sequence, and mostly that settles it.
        share = max(0.0, 1 - (distinct - 3) / total)
        if share <= most:
            bound = max(bound, share)
        elif len(words) > 3:
            top = max(top, 1 - len(set(_list_grams(words, 4))) / total)
    return top <= most, f"{top:.2f}" if top >= bound else f"<= {bound:.2f}"


def check_min_searches(rollout: Rollout, least: Threshold) -> Verdict:
    """At least this many turns that search."""
    searches = rollout.row["searches"]
    return searches >= least, str(searches)


def check_distinct_sources(rollout: Rollout, least: Threshold) -> Verdict:
    """At least this share of all hits are distinct ones (searches bring something new).

    By id, which is the URL on the web (the published code counts titles, and divides by ten hits a
    search however many came). A rollout without hits passes: `min_searches` judges that.
    """
    hits = [hit for turn in rollout.row["retrieved_ids"] for hit in turn]
    if not hits:
        return True, "no hits"
    share = len(set(hits)) / len(hits)
    return share >= least, f"{share:.2f}"


def check_fallbacks(rollout: Rollout, most: Threshold) -> Verdict:
    """At most this many queries whose passages were shown as they came, not refined."""
    fallbacks = rollout.row["fallbacks"]
    return fallbacks <= most, str(fallbacks)


def check_levels_reached(rollout: Rollout, _: Threshold) -> Verdict:
    """The pages of every level of the question's tree came back from a search (InfoSeek's trees).

    Who answers before that has guessed or remembered. A question without a tree passes.
    """
    levels = rollout.row.get("levels") or ()
    found = {hit for turn in rollout.row["retrieved_ids"] for hit in turn}
    reached = sum(found.issuperset(level) for level in levels)
    return reached == len(levels), f"{reached} of {len(levels)}" if levels else NO_TREE


def check_searches_per_level(rollout: Rollout, least: Threshold) -> Verdict:
    """At least this many searching turns per level of the question's tree, however many queries.

    One search for a question of several levels is a shortcut (InfoSeek). A question without a tree
    passes.
    """
    levels = len(rollout.row.get("levels") or ())
    searches = rollout.row["searches"]
    return searches >= least * levels, f"{searches} for {levels}" if levels else NO_TREE


def check_genuine(rollout: Rollout, _: Threshold) -> Verdict:
    """A judge found that the rollout reasons its way to the answer, without a shortcut.

    A rollout that it was not asked about, or gave no verdict on, fails; a question without a tree
    passes.
    """
    if not rollout.row.get("levels"):
        return True, NO_TREE
    genuine = rollout.row.get("genuine")
    return genuine is True, {True: "genuine", False: "shortcut", None: "no verdict"}[genuine]


def check_all_correct(question: Question, probability: Threshold, seed: int) -> Verdict:
    """A question whose rollouts are all right is dropped with this probability.

    Not so if it has one rollout: that one was right says too little of how hard the question is,
    and as a rule of all questions it would drop nearly all that there is to keep.
    """
    if question.share < 1 or question.rollouts < 2:
        return True, _format_share(question)
    draw = draw_number(question.id, seed)
    return draw >= probability, f"{_format_share(question)}, drew {draw:.2f}"


def check_min_correct_share(question: Question, least: Threshold, _: int) -> Verdict:
    """At least this share of the question's rollouts is right."""
    return question.share >= least, _format_share(question)


def check_max_correct_share(question: Question, most: Threshold, _: int) -> Verdict:
    """At most this share of the question's rollouts is right."""
    return question.share <= most, _format_share(question)


@dataclass(frozen=True, slots=True)
class Rule:
    """A check of one rollout, what it is for, and the threshold that its authors publish."""

    check: Callable[[Rollout, Threshold], Verdict]
    dimension: str
    """One of SimpleDeepSearcher's four (format, reasoning_path, difficulty, search_effectiveness)
    or correctness."""
    kind: str = SWITCH
    """What switches it on."""
    published: Threshold | None = None
    """None: no published system has the rule."""
    source: str = ""


@dataclass(frozen=True, slots=True)
class QuestionRule:
    """The same for a question, with the seed for a draw; it holds for each of its rollouts."""

    check: Callable[[Question, Threshold, int], Verdict]
    kind: str = SHARE
    published: Threshold | None = None
    source: str = ""
    dimension: str = "difficulty"


CURATION = "SimpleDeepSearcher, response_curation.py"
FILTER = "SimpleDeepSearcher, format_filter.py"
JUDGE = "InfoSeek, judge of trajectories"
REWARD = "SimpleDeepSearcher, data of its reinforcement learning: 1 to 6 of 8 are right"

RULES: dict[str, Rule] = {
    "answered": Rule(check_answered, "format"),
    "unforced": Rule(check_unforced, "format"),
    "exact_match": Rule(check_exact_match, CORRECTNESS),
    "normalised_match": Rule(check_normalised_match, CORRECTNESS, SWITCH, True, FILTER),
    "contains_answer": Rule(check_contains_answer, CORRECTNESS, SWITCH, True, CURATION),
    "valid_grammar": Rule(check_grammar, "format", SWITCH, True, CURATION),
    "supported": Rule(check_supported, "search_effectiveness"),
    "no_repeated_query": Rule(check_repeated_query, "search_effectiveness"),
    "first_turn_words": Rule(check_first_turn_words, "reasoning_path", COUNT, 300, CURATION),
    "turn_words": Rule(check_turn_words, "reasoning_path", COUNT, 300, CURATION),
    "total_words": Rule(check_total_words, "reasoning_path", COUNT, 3000, FILTER),
    "turns": Rule(check_turns, "reasoning_path", COUNT),
    "hedging_per_turn": Rule(check_hedging_per_turn, "reasoning_path", COUNT, 3, CURATION),
    "hedging_total": Rule(check_hedging_total, "reasoning_path", COUNT, 3, FILTER),
    "language": Rule(check_language, "reasoning_path", SHARE, 0, FILTER),
    "repetition": Rule(check_repetition, "reasoning_path", SHARE, 0.3, CURATION),
    "looping": Rule(check_looping, "reasoning_path", SHARE),
    "min_searches": Rule(check_min_searches, "search_effectiveness", COUNT, 1, CURATION),
    "distinct_sources": Rule(check_distinct_sources, "search_effectiveness", SHARE, 0.95, CURATION),
    "fallbacks": Rule(check_fallbacks, "search_effectiveness", COUNT),
    "levels_reached": Rule(check_levels_reached, "search_effectiveness"),
    "searches_per_level": Rule(check_searches_per_level, "search_effectiveness", COUNT),
    "genuine": Rule(check_genuine, "reasoning_path", SWITCH, True, JUDGE),
}

QUESTION_RULES: dict[str, QuestionRule] = {
    "all_correct": QuestionRule(check_all_correct, SHARE, 0.8, CURATION),
    "min_correct_share": QuestionRule(check_min_correct_share, SHARE, 0.125, REWARD),
    "max_correct_share": QuestionRule(check_max_correct_share, SHARE, 0.75, REWARD),
}


def select_rules(
    thresholds: Mapping[str, Any], known: Mapping[str, Rule] | Mapping[str, QuestionRule], at: str
) -> dict[str, Threshold]:
    """The rules that are on, in the order of `known`, after a check of every threshold.

    `at`: the config section, for the message. Raises InputError naming the setting.
    """
    for name, threshold in thresholds.items():
        if name not in known:
            raise InputError(f"{at}.{name}: unknown rule; known are {', '.join(known)}")
        if _is_on(threshold) and not _fits(threshold, known[name].kind):
            kind = known[name].kind
            raise InputError(f"{at}.{name}: {threshold!r} is not {kind}, null or false")
    return {name: thresholds[name] for name in known if _is_on(thresholds.get(name))}


def join_levels(trajectories: pl.DataFrame, questions: pl.DataFrame) -> pl.DataFrame:
    """Add the column `levels` of `schemas.Questions` to rollouts (empty for seeds).

    Raises InputError for a rollout of a question that is not among them.
    """
    known = questions.select(pl.col("id").alias("question_id"), "levels")
    joined = trajectories.join(known, on="question_id", how="left", maintain_order="left")
    unknown = joined.filter(pl.col("levels").is_null())["question_id"]
    if not unknown.is_empty():
        raise InputError(
            f"trajectories: question_id {unknown[0]!r} ({unknown.n_unique()} such ids) is not among"
            " the questions; roll the present questions out again"
        )
    return joined


def draw_number(key: str, seed: int) -> float:
    """A number from 0 to 1 that depends on these two alone, uniform over the keys."""
    digest = hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def holds_phrase(text: str, phrase: str) -> bool:
    """Whether the words of `phrase` stand in `text` in a row, as `normalise_answer` sees both."""
    wanted = fold_words(phrase)
    if not wanted:
        return bool(phrase.strip()) and phrase.strip().lower() in text.lower()
    words = text.lower().translate(WORDS).split()
    if f" {wanted} " in f" {' '.join(words)} ":
        return True
    content = [word for word in wanted.split(" ") if word not in ARTICLES]
    rest = " ".join(word for word in words if word not in ARTICLES)
    return bool(content) and f" {' '.join(content)} " in f" {rest} "


def fold_words(text: str) -> str:
    """Lower case, no ASCII punctuation, single spaces: `normalise_answer` but for articles."""
    return " ".join(text.lower().translate(PUNCTUATION).split())


def _is_on(threshold: Any) -> bool:
    return threshold is not None and threshold is not False


def _fits(threshold: Any, kind: str) -> bool:
    if kind == SWITCH:
        return threshold is True
    number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    return number and 0 <= threshold <= (1 if kind == SHARE else float("inf"))


def _lacks_word(text: str, phrase: str) -> bool:
    """Whether `text` lacks a word of `phrase`, articles aside: a cheap test for most misses."""
    spaced = f" {text.lower().translate(WORDS)} "
    words = phrase.lower().translate(PUNCTUATION).split()
    return any(f" {word} " not in spaced for word in words if word not in ARTICLES)


def _count_word(text: str, word: re.Pattern[str]) -> int:
    # A pattern that begins with the letters is searched many times faster than one with \b.
    starts = (match.start() for match in word.finditer(text))
    return sum(not text[max(start - 1, 0) : start].isalnum() for start in starts)


def _list_grams(words: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(size)), strict=False)


def _join_sources(row: Mapping[str, Any]) -> str:
    """All texts that a rollout may quote."""
    texts = [row["question"], row["answer"], *row["golden_answers"]]
    texts += [query for turn in row["queries"] for query in turn]
    texts += [
        message["content"] for message in row["messages"] if message["role"] == grammar.OBSERVATION
    ]
    return "\n".join(texts)


def _fold_letters(text: str) -> str:
    """Lower case, and one form for letters that Unicode has several of (wide, subscript, …)."""
    return unicodedata.normalize("NFKC", text).lower()


def _list_scripts(text: str) -> set[str]:
    """The scripts that `SCRIPT_SHARE` of a text's letters or more are of."""
    counts = Counter(_name_script(letter) for letter in text if letter.isalpha())
    return {script for script, n in counts.items() if n >= SCRIPT_SHARE * counts.total()}


@lru_cache(maxsize=4096)
def _name_script(letter: str) -> str:
    """A letter's script, which its Unicode name begins with."""
    script = unicodedata.name(letter, "").partition(" ")[0]
    return "ASIAN" if script in ASIAN else script


def _format_share(question: Question) -> str:
    return f"{question.share:.2f} of {question.rollouts}"
