"""Generated passages and queries with the word statistics of Wikipedia, of any number.

The text model. Words follow a Zipf-Mandelbrot law, p(rank) ~ (rank + 2.7)^-1.07 over 2 million
words (2.7: Piantadosi 2014, doi:10.3758/s13423-014-0585-6; 1.07 fits the ranks 10 and 100 of
HotpotQA's passages, 0.8 % and 0.09 %). The 33 most frequent are Lucene's English stop words, which
analysis drops. A passage has a title of two rarer words and 60 to 130 words of text; a word
repeats one of the passage before it with probability 0.3, so that three in four terms of a passage
differ, as in HotpotQA's and MuSiQue's. A query is a passage's title and six other words of it.
Passages depend on the seed and their number alone: the first million is the same in every corpus.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
from bm25s.stopwords import STOPWORDS_EN

WORDS = 2_000_000
EXPONENT, SHIFT = 1.07, 2.7
REPEATED = 0.3
LENGTHS = (60, 131)
CHUNK = 20_000
CONSONANTS, VOWELS = "bcdfghjklmnprstvwzxq", "aeiou"


def make_words() -> np.ndarray:
    """The vocabulary by rank: stop words, then made words of two to eight letters, by rank."""
    syllables = np.array([c + v for c in CONSONANTS for v in VOWELS], dtype=object)
    numbers = np.arange(WORDS)
    words = syllables[numbers % 100]
    for step in (100, 10_000, 1_000_000):
        longer = numbers >= step
        words[longer] += syllables[numbers[longer] // step % 100]
    words[: len(STOPWORDS_EN)] = list(STOPWORDS_EN)
    return words


def draw_passages(count: int, seed: int = 1) -> Iterator[list[np.ndarray]]:
    """Yield chunks of passages as arrays of word ranks, the first two the title's."""
    weights = (np.arange(1, WORDS + 1) + SHIFT) ** -EXPONENT
    cumulated = np.cumsum(weights / weights.sum())
    for start in range(0, count, CHUNK):
        random = np.random.default_rng([seed, start])
        lengths = random.integers(*LENGTHS, CHUNK) + 2
        ends = np.cumsum(lengths)
        begins = ends - lengths
        ranks = np.searchsorted(cumulated, random.random(ends[-1]))
        title = np.concatenate([begins, begins + 1])
        rarer = cumulated[1000] + random.random(len(title)) * (1 - cumulated[1000])
        ranks[title] = np.searchsorted(cumulated, rarer)
        ranks = np.minimum(ranks, WORDS - 1)
        places = np.arange(ends[-1])
        first = np.repeat(begins, lengths)
        earlier = first + ((places - first) * random.random(ends[-1])).astype(np.int64)
        again = random.random(ends[-1]) < REPEATED
        again[title] = False
        ranks[again] = ranks[earlier[again]]
        yield np.split(ranks, ends[:-1])[: count - start]


def write_corpus(out: Path, count: int) -> None:
    """Write `count` passages as JSON Lines of {id, contents}."""
    words, number = make_words(), 0
    with out.open("wb") as stream:
        for chunk in draw_passages(count):
            for ranks in chunk:
                text = words[ranks].tolist()
                contents = f'"{text[0]} {text[1]}"\n{" ".join(text[2:])}'
                stream.write(orjson.dumps({"id": str(number), "contents": contents}) + b"\n")
                number += 1


def make_queries(count: int, seed: int = 2) -> list[str]:
    """Queries about passages of the first chunk, which every corpus has."""
    words, random = make_words(), np.random.default_rng(seed)
    chunk = next(draw_passages(CHUNK))
    queries = []
    for place in random.choice(len(chunk), count, replace=False):
        rest = np.unique(chunk[place][2:])
        picked = random.choice(rest[rest >= len(STOPWORDS_EN)], 6, replace=False)
        queries.append(" ".join(words[np.concatenate([chunk[place][:2], picked])]))
    return queries
