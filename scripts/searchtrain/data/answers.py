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
