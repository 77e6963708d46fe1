"""The names that an entity goes by, and whether a text gives one away.

Names are compared word by word in the folded form of `search.text`, so neither case, accents nor
punctuation hide one, and no name stands inside a longer word.
"""

import re
from collections.abc import Iterable, Sequence

from searchtrain.search.text import TERM, fold

ARTICLES = ("a", "an", "the")
PARENTHESIS = re.compile(r"\s*\([^()]*\)\s*$")


def list_names(title: str, aliases: Iterable[str] = ()) -> list[str]:
    """The title, what stands before its parenthesis or its comma, and the aliases, each once.

    Wikipedia tells pages of one name apart by these ("Georgia (country)", "Paris, Texas").
    """
    bare = PARENTHESIS.sub("", title)
    names = [title, bare, bare.partition(",")[0].strip(), *aliases]
    return list(dict.fromkeys(name for name in names if split_words(name)))


def find_name(text: str, names: Iterable[str]) -> str:
    """The first of the names that stands in the text as whole words, or an empty string.

    An article that begins a name may be missing in the text.
    """
    words = f" {' '.join(split_words(text))} "
    return next((name for name in names if f" {' '.join(_drop_article(name))} " in words), "")


def split_words(text: str) -> list[str]:
    """The words of a text in the form in which they are compared."""
    return TERM.findall(fold(text))


def _drop_article(name: str) -> Sequence[str]:
    words = split_words(name)
    return words[1:] if len(words) > 1 and words[0] in ARTICLES else words
