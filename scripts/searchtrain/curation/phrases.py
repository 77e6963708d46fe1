"""Whether an answer's words stand in a text, as normalisation sees both.

Invariant: by whole words. Letter by letter, as the published code has it, "Somalia" would hold
"Mali" and "1912" would hold "12".
"""

from searchtrain.data.answers import PUNCTUATION

ARTICLES = frozenset(("a", "an", "the"))
SPACES = [chr(code) for code in range(0x3001) if chr(code).isspace()]
WORDS = PUNCTUATION | str.maketrans(dict.fromkeys(SPACES, " "))
"""Takes ASCII punctuation out and makes every white space a plain one."""


_SMALL = (
    "and or but of in on at by for from to with as into than that this these those it its he she"
    " his her they their is are was were be been being do does did has have had can could will"
    " would who whom whose which what when where why how many much also same there"
)
FUNCTION_WORDS = ARTICLES | frozenset(_SMALL.split())
"""Words of a question that say nothing of what it is about."""


def list_content(text: str) -> frozenset[str]:
    """The words of a text that say what it is about, folded."""
    return frozenset(fold_words(text).split()) - FUNCTION_WORDS


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


def lacks_word(text: str, phrase: str) -> bool:
    """Whether `text` lacks a word of `phrase`, articles aside: a cheap test for most misses."""
    spaced = f" {text.lower().translate(WORDS)} "
    words = phrase.lower().translate(PUNCTUATION).split()
    return any(f" {word} " not in spaced for word in words if word not in ARTICLES)


def fold_words(text: str) -> str:
    """Lower case, no ASCII punctuation, single spaces: `normalise_answer` but for articles."""
    return " ".join(text.lower().translate(PUNCTUATION).split())
