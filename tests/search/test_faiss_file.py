"""A FAISS index that FAISS wrote elsewhere, with its corpus and encoder, taken over as it is."""

import json

import faiss
import numpy as np
import pytest

from conformance import search_r1
from helpers.places import PLACES, write_places
from searchtrain.config import Embedder, Index, Retriever
from searchtrain.core.errors import InputError
from searchtrain.core.files import hash_file
from searchtrain.search.index import build_index, open_index
from searchtrain.search.self_test import check_own


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_places(tmp_path_factory.mktemp("faiss") / "corpus.jsonl")


@pytest.fixture(scope="module")
def encoder(corpus):
    return search_r1.make_e5(corpus.parent / "encoder", corpus)


def take(corpus, encoder, source, engine="dense", **embedder):
    """Our index of it, opened."""
    settings = Index(engine=engine, faiss=str(source))
    out = source.parent / f"{source.name}.ours"
    made = Embedder(**embedder)
    build_index(corpus, out, settings, embedder=made, model=encoder, source=source)
    return open_index(out, corpus, model=encoder)


@pytest.mark.parametrize("recipe", ["Flat", "SQfp16", "IDMap,Flat", "HNSW8", "IVF4,Flat", "PQ32x4"])
def test_every_kind_of_index_answers_as_faiss_does(corpus, encoder, tmp_path, recipe):
    source = search_r1.write_index(corpus, encoder, tmp_path / "e5.index", recipe)
    index = take(corpus, encoder, source)
    found = faiss.read_index(str(source))
    queries = [f"What is the river of {place.name}?" for place in PLACES[:20]]
    distances, places = found.search(search_r1.E5(encoder).encode(queries, "query"), 5)
    rankings = index.rank_all(queries, 5)
    same = [
        [place for place, _ in ranking] == [place for place in row.tolist() if place >= 0]
        for ranking, row in zip(rankings, places, strict=True)
    ]
    assert sum(same) >= 16, "half precision may tell near ones apart the other way"
    best = [ranking[0][1] for ranking in rankings]
    assert best == pytest.approx(distances[:, 0].tolist(), abs=2e-3)
    assert index.manifest["faiss"] == {
        "file": "e5.index",
        "sha256": hash_file(source),
        "kind": index.manifest["faiss"]["kind"],
    }
    if recipe not in ("PQ32x4", "IVF4,Flat"):
        check_own(index)


def test_it_is_one_half_of_a_hybrid(corpus, encoder, tmp_path):
    source = search_r1.write_index(corpus, encoder, tmp_path / "e5.index")
    index = take(corpus, encoder, source, engine="hybrid")
    ((place, _),) = index.rank(f"the mayor of {PLACES[7].name}", 1)
    assert place == 7


def test_an_approximate_index_is_searched_as_asked(corpus, encoder, tmp_path):
    source = search_r1.write_index(corpus, encoder, tmp_path / "e5.index", "IVF8,Flat")
    take(corpus, encoder, source)
    folder = tmp_path / "e5.index.ours"
    few, all_ = (
        open_index(folder, corpus, model=encoder, parameters=each) for each in ("", "nprobe=8")
    )
    assert len(few.rank("a town", 60)) < len(all_.rank("a town", 60)) == 60
    with pytest.raises(InputError, match=r"faiss_parameters: 'efSearch=9' is not for .*IVFFlat"):
        open_index(folder, corpus, model=encoder, parameters="efSearch=9")


def test_vectors_of_other_lengths_are_left_to_faiss(corpus, encoder, tmp_path):
    vectors = search_r1.E5(encoder).encode(
        [row["contents"] for row in search_r1.read_rows(corpus)], "passage"
    )
    lengths = np.linspace(0.98, 1.05, len(vectors), dtype=np.float32)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors * lengths[:, None])
    faiss.write_index(index, str(tmp_path / "long.index"))
    ours = take(corpus, encoder, tmp_path / "long.index")
    _, expected = index.search(search_r1.E5(encoder).encode(["a town"], "query"), 3)
    assert [place for place, _ in ours.rank("a town", 3)] == expected[0].tolist()


def other_corpus(corpus, tmp_path, change):
    rows = change(search_r1.read_rows(corpus))
    path = tmp_path / "other.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_an_index_of_another_size_is_refused_with_both_numbers(corpus, encoder, tmp_path):
    source = search_r1.write_index(corpus, encoder, tmp_path / "e5.index")
    fewer = other_corpus(corpus, tmp_path, lambda rows: rows[:-1])
    with pytest.raises(InputError, match=r"holds 60 vectors, and .* 59 passages; give the index"):
        take(fewer, encoder, source)
    assert not (tmp_path / "e5.index.ours").exists()


@pytest.mark.parametrize("recipe", ["Flat", "HNSW8"])
def test_what_was_not_made_of_these_passages_by_this_encoder_is_refused(
    corpus, encoder, tmp_path, recipe
):
    source = search_r1.write_index(corpus, encoder, tmp_path / "e5.index", recipe)
    turned = other_corpus(corpus, tmp_path, lambda rows: rows[::-1])
    said = r"of 16 passages of .* have the vector that this FAISS index holds .* data\.corpus"
    with pytest.raises(InputError, match=said):
        take(turned, encoder, source)
    stranger = search_r1.make_e5(tmp_path / "stranger", turned, seed=5)
    with pytest.raises(InputError, match=r"set retriever\.embedder\.model and passage_prefix"):
        take(corpus, stranger, source)


def test_a_wrong_prefix_is_refused(corpus, encoder, tmp_path):
    source = search_r1.write_index(corpus, encoder, tmp_path / "e5.index")
    with pytest.raises(InputError, match=r"with the prefix 'town town .*, \d have the vector"):
        take(corpus, encoder, source, passage_prefix="town " * 20)


def test_an_encoder_of_another_width_is_refused(corpus, encoder, tmp_path):
    source = search_r1.write_index(corpus, encoder, tmp_path / "e5.index")
    narrow = search_r1.make_e5(tmp_path / "narrow", corpus, hidden_size=32)
    with pytest.raises(InputError, match=r"its vectors have 64 numbers, and those of .* 32; set"):
        take(corpus, narrow, source)


@pytest.mark.parametrize("content", [b"", b"not an index of any kind", "cut"])
def test_a_file_that_is_no_index_is_told(corpus, encoder, tmp_path, content):
    source = search_r1.write_index(corpus, encoder, tmp_path / "e5.index")
    source.write_bytes(source.read_bytes()[:900] if content == "cut" else content)
    with pytest.raises(InputError, match=r"no index that FAISS .* can read .*; fetch it again"):
        take(corpus, encoder, source)


def test_own_numbers_are_refused_unless_they_are_the_lines(corpus, encoder, tmp_path):
    index = faiss.index_factory(64, "IDMap,Flat", faiss.METRIC_INNER_PRODUCT)
    index.add_with_ids(np.eye(60, 64, dtype=np.float32), np.arange(100, 160))
    faiss.write_index(index, str(tmp_path / "own.index"))
    with pytest.raises(InputError, match=r"numbers its vectors itself, beginning with \[100, 101,"):
        take(corpus, encoder, tmp_path / "own.index")


def test_bm25_has_no_use_for_it():
    with pytest.raises(InputError, match=r"e5\.index is an index of vectors: set engine to dense"):
        Retriever.parse({"index": {"faiss": "e5.index"}}, "retriever")
