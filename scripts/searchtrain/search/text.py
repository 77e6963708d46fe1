"""Text into index terms; an index and its queries must go through the same analyser.

Names are the point: case, accents and compatibility forms are folded, so that `São Tomé`, `SAO
TOME` and a full-width spelling are the same terms.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field

import Stemmer
from bm25s.stopwords import STOPWORDS_EN, STOPWORDS_EN_PLUS

from searchtrain.core.errors import InputError

TERM = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
"""A run of word characters, or one character of a script that puts no space between words."""

STOPWORDS = {"english": STOPWORDS_EN, "english_plus": STOPWORDS_EN_PLUS}
"""Lucene's 33 words, and NLTK's 179 with pronouns and question words."""

UNDECOMPOSED = str.maketrans("øłđðħ\u0131", "olddhi") | str.maketrans(
    {"æ": "ae", "œ": "oe", "þ": "th"}
)
"""Letters that Unicode does not take apart into a base letter and an accent."""


@dataclass(frozen=True, slots=True)
class Analyser:
    """Fold, split, drop stop words, stem."""

    stopwords: frozenset[str]
    stem: Callable[[str], str] = field(repr=False)

    def split(self, text: str) -> list[str]:
        """The index terms of a text, in order, repeated as often as they occur."""
        return [term for word in split_words(text) if (term := self.reduce(word))]

    def reduce(self, word: str) -> str:
        """The index term of one of `split_words`' words; empty for a stop word."""
        return "" if word in self.stopwords else self.stem(word)


def make_analyser(stopwords: str | list[str] | None, stemmer: str | None) -> Analyser:
    """Build an analyser.

    `stopwords`: a name of STOPWORDS, a list of words, or None for none. `stemmer`: a Snowball
    language (`english`, `german`, ...), or None for none. Raises InputError for an unknown stemmer.
    """
    words = STOPWORDS[stopwords] if isinstance(stopwords, str) else stopwords or ()
    if stemmer is not None and stemmer not in Stemmer.algorithms():
        raise InputError(
            f"index.stemmer: {stemmer!r} is not known; use one of {', '.join(Stemmer.algorithms())}"
        )
    return Analyser(
        stopwords=frozenset(term for word in words for term in TERM.findall(fold(word))),
        stem=str if stemmer is None else Stemmer.Stemmer(stemmer).stemWord,
    )


def split_words(text: str) -> list[str]:
    """The folded words of a text, in order."""
    return TERM.findall(fold(text))


def fold(text: str) -> str:
    """Lower-case a text and take away accents and compatibility forms (NFKD without marks)."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(mark for mark in decomposed if not unicodedata.combining(mark))
    return bare.casefold().translate(UNDECOMPOSED)
