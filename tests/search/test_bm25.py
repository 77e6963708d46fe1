"""The index of BM25: the ranking, and what it refuses."""

import asyncio
import os

import numpy as np
import pytest

from helpers.passages import PASSAGES, find
from searchtrain.config import Index
from searchtrain.core.errors import InputError
from searchtrain.search import bm25, manifest
from searchtrain.search.bm25 import BM25Index
from searchtrain.search.index import build_index
from searchtrain.search.text import make_analyser


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("Łódź", "lodz"),
        ("LODZ city", "lodz"),
        ("sao tome", "sao"),
        ("Sa\u0303o Tome\u0301", "sao"),
        ("日本", "tokyo"),
        ("capitals of Poland", "pl"),
    ],
)
def test_finds_names_however_they_are_spelt(index, query, first):
    assert find(index, query)[0] == first


def test_equal_scores_come_in_corpus_order(index):
    assert find(index, "Springfield", 2) == ["twin-a", "twin-b"]
    assert find(index, "Springfield", 9) == ["twin-a", "twin-b", "twin-c"]


def test_scores_fall_and_follow_the_formula(index):
    hits = index.rank("Springfield town", 9)
    # Lucene's BM25 by hand: two terms with df 3 of 7, each once or twice in 3 terms.
    lengths = [len(make_analyser("english_plus", "english").split(p["contents"])) for p in PASSAGES]
    norm = 0.9 * (0.6 + 0.4 * lengths[3] / np.mean(lengths))
    idf = np.log(1 + (7 - 3 + 0.5) / (3 + 0.5))
    assert hits[0][1] == pytest.approx(idf * (2 / (2 + norm) + 1 / (1 + norm)), rel=1e-5)
    mixed = [score for _, score in index.rank("capital Poland Springfield", 9)]
    assert mixed == sorted(mixed, reverse=True) and len(mixed) > 3


@pytest.mark.parametrize("query", ["", "the of", "zzzz", "?!"])
def test_a_query_that_matches_nothing_has_no_hits(index, query):
    assert index.rank(query, 3) == []


@pytest.mark.build  # numba compiles for some seconds
@pytest.mark.parametrize("query", ["Springfield", "capital Poland Springfield", "Łódź", "zzzz"])
@pytest.mark.parametrize("topk", [1, 2, 3, 7, 9])
def test_a_large_index_is_compiled_and_answers_the_same(
    folder, corpus, index, monkeypatch, query, topk
):
    plain = index.rank(query, topk)
    monkeypatch.setattr(bm25, "COMPILE_FROM", 0)
    compiled = BM25Index(folder, corpus)
    assert compiled._threads is not None
    assert compiled.rank_all([query, "town"], topk) == [plain, index.rank("town", topk)]


def test_stopwords_and_stemmer_can_be_left_out():
    assert make_analyser(None, None).split("The Cities") == ["the", "cities"]
    assert make_analyser(["Cities"], None).split("The Cities") == ["the"]
    assert make_analyser("english", "english").split("The Cities") == ["citi"]
    assert make_analyser("english", None).split("Who is she?") == ["who", "she"]
    assert make_analyser("english_plus", None).split("Who is she?") == []


def test_the_index_is_a_search_in_this_process(index):
    answers = asyncio.run(index.search(["Łódź", "zzzz"], 1))
    assert answers[1] == []
    assert answers[0][0].pop("score") > 0
    assert answers[0] == [PASSAGES[0]]


def test_a_second_build_is_the_same_and_replaces_the_first(corpus, tmp_path):
    out = tmp_path / "index"
    build_index(corpus, out, Index())
    first = {file.name: file.read_bytes() for file in out.iterdir()}
    (out / "left over").touch()
    build_index(corpus, out, Index())
    assert {file.name: file.read_bytes() for file in out.iterdir()} == first
    assert [file.name for file in tmp_path.iterdir()] == ["index"]


def test_equal_corpora_have_the_same_index_whenever_they_were_written(corpus, tmp_path):
    copied = tmp_path / "corpus.jsonl"
    copied.write_bytes(corpus.read_bytes())
    os.utime(copied, (1, 1))
    for source, name in ((corpus, "one"), (copied, "two")):
        build_index(source, tmp_path / name, Index())
    one, two = (
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}
        for name in ("one", "two")
    )
    assert one == two and "manifest.json" in one


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "faiss"}, r"index\.engine: 'faiss' is not allowed; it must be bm25, dense or"),
        ({"method": "best"}, r"unknown key retriever\.index\.method; known here: b, engine"),
        ({"b": 1.5}, r"index\.b: 1.5 is not allowed; it must be a number from 0 to 1"),
        ({"k1": 0}, r"index\.k1: 0 is not allowed"),
        ({"stemmer": "klingon"}, r"index\.stemmer: 'klingon' is not known"),
        (
            {"stopwords": "klingon"},
            r"index\.stopwords: 'klingon' is not allowed; .* a list of text",
        ),
    ],
)
def test_refuses_a_bad_setting(corpus, tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        build_index(corpus, tmp_path / "index", Index.parse(settings, "retriever.index"))
    assert list(tmp_path.iterdir()) == []


def test_refuses_an_index_of_another_corpus_version_or_engine(
    folder, corpus, tmp_path, monkeypatch
):
    other = tmp_path / "corpus.jsonl"
    other.write_bytes(corpus.read_bytes() + b"\n")
    with pytest.raises(InputError, match=r"built from another corpus .* --forcerun index"):
        BM25Index(folder, other)
    with pytest.raises(InputError, match="needs the corpus it was built from"):
        BM25Index(folder, tmp_path / "none.jsonl")
    with pytest.raises(InputError, match=r"not an index \(manifest.json is missing\)"):
        BM25Index(tmp_path, corpus)
    monkeypatch.setattr(BM25Index, "VERSION", "9.9")
    with pytest.raises(InputError, match=r"built with version '0\.[\d.]+', this is '9.9'; rebuild"):
        BM25Index(folder, corpus)
    monkeypatch.setattr(BM25Index, "ENGINE", "other")
    with pytest.raises(InputError, match="built with engine 'bm25s', this is 'other'"):
        BM25Index(folder, corpus)


def test_a_corpus_that_was_not_touched_is_not_read_again(folder, corpus, tmp_path, monkeypatch):
    """13 GB take a minute; a copy, whose time is another, is compared by its bytes."""
    copied = tmp_path / "corpus.jsonl"
    copied.write_bytes(corpus.read_bytes())
    assert len(BM25Index(folder, copied)) == len(PASSAGES)
    monkeypatch.setattr(manifest, "hash_file", lambda path: "never the same")
    assert len(BM25Index(folder, corpus)) == len(PASSAGES)
    with pytest.raises(InputError, match="built from another corpus"):
        BM25Index(folder, copied)
