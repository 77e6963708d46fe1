"""A BM25 index of a few passages, and its server."""

import json

import pytest
from starlette.testclient import TestClient

from helpers.passages import PASSAGES
from searchtrain.config import Index
from searchtrain.search.bm25 import BM25Index
from searchtrain.search.index import build_index
from searchtrain.search.server import make_app


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("search") / "corpus.jsonl"
    rows = [json.dumps(passage, ensure_ascii=False) + "\n" for passage in PASSAGES]
    path.write_text("".join(rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(corpus):
    build_index(corpus, corpus.parent / "index", Index())
    return corpus.parent / "index"


@pytest.fixture(scope="module")
def index(folder, corpus):
    return BM25Index(folder, corpus)


@pytest.fixture
def http(index):
    return TestClient(make_app(index))
