"""How much of a rollout's reasoning is in another language, as far as its script shows it.

Invariant: names and terms are no other language: Latin script is written everywhere, and words of
the question, the queries, the answer or an observation are quotations.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from searchtrain.agent import grammar
from searchtrain.curation.rollouts import Rollout

NOT_LATIN = re.compile(r"[^\W\d_\x00-\u02ff\u1e00-\u1eff]+")
"""A run of letters that are not Latin."""
ASIAN = frozenset(("CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "BOPOMOFO"))
"""Chinese and Japanese are told apart by no single letter, so they are one script here."""
LATIN = frozenset(("LATIN", "MODIFIER"))
SCRIPT_SHARE = 0.1
"""Of a question's letters: a script that has less is in it as a name."""


def measure_foreign_share(rollout: Rollout) -> float:
    """The largest share of a turn's letters that are of neither Latin nor the question's script.

    The published code drops whatever has a Chinese character anywhere.
    """
    share = 0.0
    sources = ""
    scripts: frozenset[str] = frozenset()
    for thought in rollout.thoughts:
        if thought.isascii() or not NOT_LATIN.search(thought):
            continue
        if not sources:
            sources = _fold_letters(_join_sources(rollout.row))
            scripts = LATIN | _list_scripts(_fold_letters(rollout.row["question"]))
        think = _fold_letters(thought)
        runs = [run for run in NOT_LATIN.findall(think) if run not in sources]
        letters = [letter for run in runs for letter in run if letter.isalpha()]
        foreign = sum(_name_script(letter) not in scripts for letter in letters)
        if foreign:
            latin = sum(map(str.isalpha, NOT_LATIN.sub("", think)))
            share = max(share, foreign / (latin + len(letters)))
    return share


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
