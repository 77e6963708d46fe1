"""Time and memory of sampling 100,000 questions: `python tests/benchmarks/bench_sampling.py`.

`one_key` is the worst case (every question of one bucket has a key point in common, so every pass
takes one question); `zipf` looks like a tagger's labels.
"""

import random
import resource
import sys
import time
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from searchtrain.config import Sample
from searchtrain.questions.sampling import sample_questions

ROWS = 100_000


def make_tagged(shape: str) -> pl.DataFrame:
    """`schemas.Tagged` rows: 30 domains and 5,000 Zipf-distributed key points, or one of each."""
    draw = random.Random(0)
    domains = [f"domain {i}" for i in range(30)] if shape == "zipf" else ["film"]
    points = [f"point {i}" for i in range(5_000)]
    weights = [1 / (rank + 1) for rank in range(len(points))]
    numbers = range(ROWS)
    keys = [list(dict.fromkeys(draw.choices(points, weights, k=3))) for _ in numbers]
    if shape == "one_key":
        keys = [["director", *key] for key in keys]
    if shape == "one_key_else_rare":
        keys = [["director", f"rare {i // 60}", f"film {i}"] for i in numbers]
    return pl.DataFrame(
        {
            "id": [str(i) for i in numbers],
            "question": [f"who is the {'what' * (i % 2)} of number {i}?" for i in numbers],
            "golden_answers": [["x"]] * ROWS,
            "source": ["synthetic"] * ROWS,
            "exclude_urls": pl.Series([[]] * ROWS, dtype=pl.List(pl.String)),
            "domain": draw.choices(domains, [1 / (i + 1) for i in range(len(domains))], k=ROWS),
            "key_points": keys,
        }
    )


if __name__ == "__main__":
    for shape in ("zipf", "one_key", "one_key_else_rare"):
        for total in (None, 10_000):
            tagged = make_tagged(shape)
            begun = time.perf_counter()
            chosen = sample_questions(tagged, Sample(total=total, min_domain=500, unit_words="all"))
            seconds = time.perf_counter() - begun
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{shape:18} total {total}: {chosen.height:,} of {ROWS:,} questions,"
                f" {chosen['pass'].max():,} passes, {seconds:.1f} s, peak {peak:,.0f} MB"
            )
