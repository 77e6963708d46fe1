"""Retrieval on real questions: recall beside plain bm25s (../shared/data/README.md), not below it.

Skipped where the data is not; hybrid also without an encoder: SEARCHTRAIN_ENCODER names its folder
(the figures of BENCHMARKS.md are all-MiniLM-L6-v2's).
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from searchtrain.config import Embedder, Index
from searchtrain.search.index import build_index, open_index

DATA = Path(__file__).parents[3] / "shared/data"
PLAIN = {"hotpotqa": (0.59, 0.68, 0.76, 0.89), "musique": (0.41, 0.45, 0.50, 0.58)}
"""bm25s 0.3.16 with its defaults, at CUTS."""
CUTS = (2, 3, 5, 10)
ENCODER = os.environ.get("SEARCHTRAIN_ENCODER")

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there")


def measure_recall(name, folder, engine, model=None):
    """Share of a question's supporting passages among the first, at each of CUTS."""
    corpus = DATA / name / "corpus.jsonl"
    bare = Embedder(query_prefix="", passage_prefix="")
    build_index(corpus, folder, Index(engine=engine), embedder=bare, model=model)
    index = open_index(folder, corpus, model=model)
    names = [json.loads(line)["id"] for line in corpus.read_text().splitlines()]
    questions = json.loads((DATA / name / "questions.json").read_text())
    shares = []
    for question, ranking in zip(
        questions, index.rank_all([row["question"] for row in questions], max(CUTS)), strict=True
    ):
        found = [names[place] for place, _ in ranking]
        wanted = set(question["supporting_ids"])
        shares.append([len(wanted & set(found[:cut])) / len(wanted) for cut in CUTS])
    return np.mean(shares, axis=0)


@pytest.mark.parametrize("name", PLAIN)
def test_bm25_finds_what_plain_bm25s_does(name, tmp_path):
    assert np.all(measure_recall(name, tmp_path / "index", "bm25") >= PLAIN[name])


@pytest.mark.skipif(not ENCODER, reason="SEARCHTRAIN_ENCODER names no folder of an encoder")
@pytest.mark.parametrize("name", PLAIN)
def test_hybrid_finds_more(name, tmp_path):
    found = measure_recall(name, tmp_path / "index", "hybrid", Path(ENCODER))
    assert np.all(found >= PLAIN[name])
    assert np.mean(found) > np.mean(PLAIN[name]) + 0.03
