"""A cross-encoder of random weights over an index: its order is what comes back."""

import json

import pytest
from sentence_transformers import CrossEncoder

from helpers.encoder import make_cross_encoder
from helpers.places import PLACES, write_places
from searchtrain.config import Index, Reranker, Retriever
from searchtrain.core.errors import InputError
from searchtrain.search.index import build_index, open_index
from searchtrain.search.reranker import RerankedIndex

WORDS = ["town", "river", "mayor", "the", "of", "is", "on", "a", "what", "who"]
QUERY = "What town is on the river?"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reranker")
    corpus = write_places(folder / "corpus.jsonl")
    build_index(corpus, folder / "index", Index(stopwords=None))
    return open_index(folder / "index", corpus)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    letters = list("abcdefghijklmnopqrstuvwxyz.?")
    words = [*WORDS, *letters, *(f"##{letter}" for letter in letters)]
    return make_cross_encoder(tmp_path_factory.mktemp("cross"), words)


def test_the_order_is_the_cross_encoders(index, model):
    depth = 12
    reranked = RerankedIndex(index, model, Reranker(depth=depth))
    before = [place for place, _ in index.rank(QUERY, depth)]
    texts = []
    for place in before:
        title, _, text = json.loads(index.read_line(place))["contents"].partition("\n")
        texts.append(title.strip('"') + "\n" + text)
    scores = CrossEncoder(str(model)).predict([(QUERY, text) for text in texts]).tolist()
    expected = [before[n] for n in sorted(range(depth), key=lambda n: -scores[n])]
    found = reranked.rank(QUERY, 5)
    assert [place for place, _ in found] == expected[:5] != before[:5]
    assert [score for _, score in found] == pytest.approx(sorted(scores)[::-1][:5], abs=1e-4)
    assert len(reranked) == len(PLACES)
    assert reranked.read_line(expected[0]) == index.read_line(expected[0])


def test_queries_together_and_more_than_the_depth(index, model):
    reranked = RerankedIndex(index, model, Reranker(depth=2))
    together = reranked.rank_all([QUERY, "zzzz", f"the mayor of {PLACES[3].name}"], 4)
    assert together[1] == [] and len(together[0]) == len(together[2]) == 4
    assert [place for place, _ in together[0]] == [place for place, _ in reranked.rank(QUERY, 4)]
    assert reranked.rank_all([QUERY], 0) == [[]] and reranked.rank_all([], 3) == []


def test_what_gives_no_single_score_is_refused(index, tmp_path):
    classes = make_cross_encoder(tmp_path / "classes", WORDS, num_labels=3)
    with pytest.raises(InputError, match="a classifier of 3 classes gives no score to sort by"):
        RerankedIndex(index, classes, Reranker())
    (classes / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no cross-encoder that sentence-transformers can load"):
        RerankedIndex(index, classes, Reranker())


def test_another_retriever_is_not_reranked():
    with pytest.raises(InputError, match=r"reranker\.model is for the workflow's own index"):
        Retriever.parse(
            {"endpoint": "http://127.0.0.1:9", "reranker": {"model": "folder"}}, "retriever"
        )
