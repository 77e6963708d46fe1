"""When an answer is right: strictly, normalised, as a part, and by how many words; and when it has
the form of one.

Standard library only: whatever compares answers, a demo server too, may import it. Invariant: a
blank answer is never right.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable

ARTICLES = re.compile(r"\b(a|an|the)\b")
MARKUP = re.compile(r"</?[A-Za-z][^<>]*>|\*\*|__|`|^#+ |^[-*] |\\[a-z]+\{|\]\(")
"""Tags (the turn grammar's or HTML's), Markdown and LaTeX."""
WRAPS = (
    re.compile(r"</?[A-Za-z][^<>]*>"),
    re.compile(r"^\\(?:boxed|text|textbf|mathrm)\{(.*)\}$"),
    re.compile(r"^\$(.*[A-Za-z\\].*)\$$"),
    re.compile(r"\*\*|__|`"),
    re.compile(r"^(?:#+|[-*\u2022]) "),
    re.compile(r"\[([^\[\]]*)\]\([^()\s]*\)"),
)
"""Markup around an answer, as models write it; what a group holds stays."""
LEAD = re.compile(
    r"^(?:so,? |thus,? |therefore,? )?(?:the )?(?:(?:final|correct|short) )?answer"
    r"(?: is(?: that)?\b:?|:)\s*(?=\S)",
    re.IGNORECASE,
)
_SHORT = (
    "jr sr dr mr mrs ms st co inc ltd corp bros vol etc mt ft ave blvd rev sgt prof esq gov sen"
)
ABBREVIATIONS = frozenset(_SHORT.split())
"""Words that keep their full stop."""
QUOTES = ('""', "''", "\u201c\u201d", "\u2018\u2019", "\u00ab\u00bb")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_answer(text: str) -> str:
    """SQuAD's normalisation: lower case, no ASCII punctuation, no articles, single spaces."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def find_fault(answer: str, max_words: int) -> str | None:
    """Why an answer is not a word or phrase as the task asks for; None when it is.

    Kinds, the first that holds: `several_lines`, `markup`, `quoted` (as a whole), `long` (more than
    `max_words` words). A blank answer has no fault: it is counted as unanswered.
    """
    text = answer.strip()
    if len(text.splitlines()) > 1:
        return "several_lines"
    if MARKUP.search(text):
        return "markup"
    if len(text) > 1 and text[0] + text[-1] in QUOTES:
        return "quoted"
    return "long" if len(text.split()) > max_words else None


def clean_answer(text: str) -> str:
    """An answer without what stands around it: white space, markup, "The answer is", quotes around
    the whole, and a final full stop that is not an abbreviation's.

    Predictions and the answers of training records go through this one function
    (`predict.clean`). An answer of which nothing would be left stays as it is.
    """
    cleaned = text.strip()
    while True:
        before = cleaned
        for wrap in WRAPS:
            cleaned = wrap.sub(lambda found: "".join(found.groups("")), cleaned).strip()
        cleaned = LEAD.sub("", cleaned)
        if len(cleaned) > 2 and cleaned[0] + cleaned[-1] in QUOTES:
            inner = cleaned[1:-1]
            # "Yes" and "No" are two quotations.
            cleaned = cleaned if set(cleaned[0] + cleaned[-1]) & set(inner) else inner.strip()
        cleaned = _drop_full_stop(cleaned)
        if cleaned == before:
            return cleaned or text.strip()


def _drop_full_stop(text: str) -> str:
    """The text without a full stop at its end; initials, abbreviations and dots keep theirs."""
    if not text.endswith(".") or text.endswith(".."):
        return text
    last = text[:-1].rsplit(None, 1)[-1] if text[:-1].strip() else ""
    letters = last.lstrip("(\"'").lower()
    short = len(letters) == 1 and letters.isalpha()
    return text if not last or "." in last or short or letters in ABBREVIATIONS else text[:-1]


def match_strict(answer: str, golds: Iterable[str]) -> bool:
    """Whether the trimmed answer equals a golden answer but for letter case (the task's rule)."""
    answer = answer.strip().lower()
    return bool(answer) and any(answer == gold.strip().lower() for gold in golds)


def match_normalised(answer: str, golds: Iterable[str]) -> bool:
    """Whether answer and a golden answer are equal after `normalise_answer` (Search-R1).

    What normalises to nothing ("....-" in FRAMES) is compared as `match_strict` does.
    """
    normalised = normalise_answer(answer)
    if not normalised:
        return match_strict(answer, golds)
    return any(normalised == normalise_answer(gold) for gold in golds)


def match_substring(answer: str, golds: Iterable[str]) -> bool:
    """Whether a golden answer stands in the answer, word for word, both normalised.

    SimpleDeepSearcher's `acc`, but for whole words: "art" does not stand in "party". A golden
    answer that normalises to nothing stands nowhere.
    """
    text = f" {normalise_answer(answer)} "
    return any(gold and f" {gold} " in text for gold in map(normalise_answer, golds))


def measure_f1(answer: str, golds: Iterable[str]) -> float:
    """Bag-of-tokens F1 of normalised texts, 0 to 1, the best over the golden answers (SQuAD).

    What normalises to nothing is compared as `match_strict` does.
    """
    tokens = normalise_answer(answer).split()
    if not tokens:
        return float(match_strict(answer, golds))
    best = 0.0
    for gold in (normalise_answer(gold).split() for gold in golds):
        common = (Counter(tokens) & Counter(gold)).total()
        best = max(best, 2 * common / (len(tokens) + len(gold)))
    return best
