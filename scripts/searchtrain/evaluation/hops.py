"""How many hops a question takes, as far as its type or its id says so.

Invariant: nothing is guessed from a question's text.
"""

import re

import polars as pl

WORDS = {"single": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
NAMED = re.compile(rf"(?:\b|_)(\d|{'|'.join(WORDS)})[ _-]?hops?(?:\b|_)", re.IGNORECASE)
"""In a type: the laptop world's `two_hop`, `2-hop`, `3hop`."""
NUMBERED = re.compile(r"(?:^|/)(\d)hop\d?__")
"""In an id: MuSiQue's `3hop1__…`, also behind a benchmark's name."""
KINDS = {
    "comparison": 2, "bridge": 2, "compositional": 2, "inference": 2, "bridge_comparison": 4,
}  # fmt: skip
"""Passages that types without a number need, by HotpotQA's and 2WikiMultihopQA's definitions; the
laptop world's comparison has two, too."""


def count_hops(kind: str | None, key: str) -> int | None:
    """The hops of a question by its type (None: it has none) and its id; None when neither says."""
    kind = kind or ""
    if found := NAMED.search(kind):
        number = found[1].lower()
        return WORDS.get(number) or int(number)
    if known := KINDS.get(kind.lower().replace("-", "_").replace(" ", "_")):
        return known
    numbered = NUMBERED.search(key)
    return int(numbered[1]) if numbered else None


def add_hops(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `hops` to `type` and `question_id`; null where neither says how many."""
    pairs = frame.select("type", "question_id").rows()
    return frame.with_columns(pl.Series("hops", [count_hops(*pair) for pair in pairs], pl.Int64))
