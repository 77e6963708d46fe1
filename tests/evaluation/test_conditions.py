"""What stands beside a score, from the run's own index, from an endpoint, and from the web."""

import pytest

from helpers.rollouts import make_predictions
from searchtrain.config import read_config
from searchtrain.core.files import write_json
from searchtrain.evaluation.conditions import (
    adapt_limits,
    describe_conditions,
    describe_search,
    format_conditions,
)

MANIFEST = {
    "engine": "bm25s", "version": "1", "corpus_sha256": "ab" * 32, "corpus_bytes": 9,
    "passages": 7, "parameters": {"k1": 0.9},
}  # fmt: skip
URL = "http://127.0.0.1:8001/retrieve"


def describe(folder, values, split="dev"):
    config = read_config(values)
    write_json(MANIFEST, folder / "manifest.json")
    own = config.search == "retriever" and not config.retriever.endpoint
    search = describe_search(config, folder if own else None)
    rows = make_predictions([("dev", "1", "Oslo"), ("dev", "2", "")])
    limits = adapt_limits(config.predict.limits, split)
    return describe_conditions(search, limits, config.models.student.sampling, rows)


@pytest.mark.parametrize(
    ("values", "engine", "corpus", "passages"),
    [
        ({}, "bm25s", "abababababab", 7),
        ({"retriever": {"endpoint": URL}}, URL, None, None),
        ({"search": "web"}, "web", None, None),
        ({"search": "web", "web": {"serve": None, "endpoint": URL}}, URL, None, None),
    ],
)
def test_what_was_searched_is_named_as_far_as_it_is_known(
    tmp_path, values, engine, corpus, passages
):
    found = describe(tmp_path, values)
    assert (found["engine"], found["corpus"], found["passages"]) == (engine, corpus, passages)
    line = format_conditions(found)
    assert line.startswith(f"m (r); {engine}, ") and "top 2" in line
    assert ("7 passages" in line) == (passages == 7)
    if passages:
        assert found["index"] == {"version": "1", "parameters": {"k1": 0.9}}


def test_limits_and_sampling_are_those_of_the_split(tmp_path):
    values = {
        "predict": {"limits": {"topk": 5, "max_searches": 3}},
        "models": {"student": {"sampling": {"temperature": 0.3}}},
    }
    found = describe(tmp_path, values)
    assert (found["topk"], found["limits"]["max_searches"]) == (5, 3)
    assert found["sampling"]["temperature"] == 0.3
    assert describe(tmp_path, values, "test_closed_book")["limits"]["max_searches"] == 0
    assert describe(tmp_path, values, "test_retrieve_read")["limits"]["max_searches"] == 1
