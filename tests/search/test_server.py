"""The retriever's server: the wire as Search-R1's clients expect it."""

import pytest

from helpers.passages import PASSAGES
from searchtrain.search import server


def test_answers_with_and_without_scores(http):
    body = {"queries": ["Łódź", "zzzz"], "topk": 1}
    scored = http.post("/retrieve", json={**body, "return_scores": True}).json()
    assert scored["result"][0][0]["document"] == PASSAGES[0]
    assert scored["result"][0][0]["score"] > 0
    assert scored["result"][1] == []
    assert http.post("/retrieve", json=body).json() == {"result": [[PASSAGES[0]], []]}


def test_a_large_index_answers_the_same_from_a_thread(http, monkeypatch):
    body = {"queries": ["Springfield", "Łódź"], "topk": 2}
    small = http.post("/retrieve", json=body).content
    monkeypatch.setattr(server, "THREAD_FROM", 0)
    assert http.post("/retrieve", json=body).content == small


@pytest.mark.parametrize("topk", [{}, {"topk": None}, {"topk": 0}])
def test_topk_is_three_unless_given(http, topk):
    answer = http.post("/retrieve", json={"queries": ["capital city town country"], **topk})
    assert len(answer.json()["result"][0]) == 3


def test_no_queries_have_no_results(http):
    assert http.post("/retrieve", json={"queries": []}).json() == {"result": []}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "must be an object"),
        ("{}", "queries must be a list of strings"),
        ('{"queries": "Paris"}', "queries must be a list of strings"),
        ('{"queries": ["Paris", 1]}', "queries must be a list of strings"),
        (
            '{"queries": ["Paris"], "topk": -1}',
            "topk must be null or an integer from 0 to 1000, got -1",
        ),
        (
            '{"queries": ["Paris"], "topk": "3"}',
            "topk must be null or an integer from 0 to 1000, got '3'",
        ),
        (
            '{"queries": ["Paris"], "topk": true}',
            "topk must be null or an integer from 0 to 1000, got True",
        ),
        ('{"queries": ["Paris"], "return_scores": 1}', "return_scores must be true or false"),
    ],
)
def test_a_bad_request_is_400_and_says_why(http, body, message):
    answer = http.post("/retrieve", content=body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_health_and_other_paths_answer_json(http):
    assert http.get("/health").json() == {"status": "ok", "passages": 7}
    assert http.get("/retrieve").status_code == 405
    assert http.get("/other").json() == {"error": "Not Found"}
