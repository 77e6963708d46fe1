"""The passage of a page that best matches what the search engine said of it.

SimpleDeepSearcher takes the sentence with the best word-set F1 against the snippet, if that is
above 0.2, with 3,000 characters on both sides, else the beginning. Here windows of the snippet's
own length stand for sentences, so that text without punctuation (tables, lists, Thai, Chinese)
works as well, and a word counts the more the rarer it is in the page, so that a run of `of the`
matches nothing. Invariant: the passage is a part of the page's text, at most as long as asked,
wherever in the page it stands.
"""

import math
import re
from collections import Counter, deque

UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
"""Scripts without spaces between words: Thai, Lao, Burmese, Khmer, kana, Han."""
WORD = re.compile(rf"([{UNSPACED}]|[^\W{UNSPACED}]+)")
MATCH = 0.2
"""Least share of the snippet's weight that the window must hold (SimpleDeepSearcher's F1; as the
window is as long as the snippet, precision, recall and F1 are about the same)."""
WINDOW = 24
"""Shortest window in words: the answer to a short query stands near its words, not among them."""
SENTENCE = re.compile(
    r"\n+\s*|(?<=[^\W\d_]{3}[.!?])[\"')\]\u201d\u2019]*\s+"
    r"|(?<=[\u3002\uff01\uff1f])"
)
SPACE = re.compile(r"\s+")
SLACK = 0.15
"""Share of the passage that may be given away at each end for a whole sentence."""


def choose_passage(text: str, snippet: str, query: str, chars: int) -> str:
    """At most `chars` characters of `text` around the place that matches `snippet` best.

    Without a snippet, or when nothing matches it, `query` is looked for, and without a match for
    that the passage is the beginning of the text.
    """
    if len(text) <= chars:
        return text.strip()
    pieces = split_words(text)
    found = None
    for wanted in (snippet, query):
        found = found or find_window(pieces, split_words(wanted)[1::2])
    return cut_around(text, *(found or (0, 0)), chars)


def split_words(text: str) -> list[str]:
    """The words in lower case at the odd places, what stands around them at the even ones."""
    # U+0130 is the only character that lower case makes longer.
    return WORD.split(text.replace("\u0130", "i").lower())


def find_window(pieces: list[str], wanted: list[str]) -> tuple[int, int] | None:
    """Start and end of the window that holds the most of the wanted words, the first of equals.

    `pieces`: a text by `split_words`. None when no window holds more than MATCH of their weight.
    """
    words = pieces[1::2]
    targets = set(wanted)
    hits = [(place, word) for place, word in enumerate(words) if word in targets]
    if not hits:
        return None
    counts = Counter(word for _, word in hits)
    weights = {word: math.log1p(len(words) / counts.get(word, 1)) for word in targets}
    length = max(len(wanted), WINDOW)
    window: deque[tuple[int, str]] = deque()
    inside: Counter[str] = Counter()
    score, best, found = 0.0, MATCH * sum(weights.values()), None
    for place, word in hits:
        window.append((place, word))
        inside[word] += 1
        if inside[word] == 1:
            score += weights[word]
        while window[0][0] <= place - length:
            _, gone = window.popleft()
            inside[gone] -= 1
            if inside[gone] == 0:
                score -= weights[gone]
        if score > best + 1e-9:
            best, found = score, (window[0][0], place)
    if found is None:
        return None
    first, last = found
    start = sum(map(len, pieces[: 2 * first + 1]))
    return start, start + sum(map(len, pieces[2 * first + 1 : 2 * last + 2]))


def cut_around(text: str, start: int, end: int, chars: int) -> str:
    """Cut `chars` characters with the place in the middle, at sentences or else between words."""
    low = max(0, min((start + end - chars) // 2, len(text) - chars))
    high = min(low + chars, len(text))
    slack = int(chars * SLACK)
    if low > 0:
        low = find_cut(text, low, max(low, min(low + slack, start)), first=True)
    if high < len(text):
        high = find_cut(text, min(high, max(high - slack, end)), high, first=False)
    return text[low:high].strip()


def find_cut(text: str, low: int, high: int, *, first: bool) -> int:
    """The first or last place between two where a sentence begins, else a word, else any."""
    for boundary in (SENTENCE, SPACE):
        ends = [match.end() for match in boundary.finditer(text, low, high)]
        if ends:
            return ends[0] if first else ends[-1]
    return low if first else high
