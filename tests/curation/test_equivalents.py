"""The judge of meaning: which answers it is asked about, and what its verdicts become."""

import asyncio
import json

import pytest
from werkzeug import Response

from helpers.chat import chat
from helpers.rollouts import make_frame, make_rollout
from searchtrain.config import Curate
from searchtrain.core.errors import InputError
from searchtrain.curation.choice import curate_rollouts
from searchtrain.curation.equivalents import judge_equivalents, make_report, select_answers
from searchtrain.models.client import ModelClient
from searchtrain.models.role import Role

SETTINGS = Curate.parse({"answers": {"equivalent": True, "judge": True, "form": "gold"}})
PASSAGE = "Oslo, the Tiger City, has a harbour."


@pytest.fixture
def asked(httpserver):
    """Serve a judge that knows the city by its other name; returns what it was asked."""
    requests = []

    def answer(request):
        task = json.loads(request.get_json()["messages"][1]["content"])
        requests.append(task)
        correct = task["predicted_answer"] == "the Tiger City"
        text = json.dumps({"reason": "It is\nso.", "correct": correct})
        return Response(json.dumps(chat(text)), content_type="application/json")

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(answer)
    return requests


def judge(httpserver, rollouts):
    url = httpserver.url_for("").rstrip("/")
    client = ModelClient(Role("judge", "j", "2", attempts=1), url, None)
    chosen = select_answers(rollouts, SETTINGS.answers)
    frame = asyncio.run(judge_equivalents(chosen, "Judge.", client, SETTINGS.answers))
    return frame, make_report(frame, rollouts.height, client)


def test_a_judge_decides_on_answers_that_no_rule_accepts_where_the_trace_has_the_golden_one(
    httpserver, asked
):
    rollouts = make_frame(
        make_rollout("q1", 0, answer="the Tiger City", passage=PASSAGE),
        make_rollout("q1", 1, answer="the Tiger City", passage=PASSAGE),
        make_rollout("q1", 2, answer="Bergen", passage=PASSAGE),
        make_rollout("q2", 3, answer="Oslo."),
        make_rollout("q2", 4, answer="", stop="turn_limit"),
        make_rollout("q2", 5, answer="Bergen", stop="forced_answer"),
        make_rollout("q2", 6, answer="Bergen", queries=()),
    )
    verdicts, report = judge(httpserver, rollouts)

    assert verdicts.rows() == [
        ("q1#0", True, "It is so.", ""),
        ("q1#1", True, "It is so.", ""),
        ("q1#2", False, "It is so.", ""),
    ]
    assert len(asked) == 2
    assert (report["rollouts"], report["judged"], report["equivalent"]) == (7, 3, 2)

    curated, _ = curate_rollouts(rollouts, SETTINGS, equivalents=verdicts)
    assert curated.select("id", "answer", "gold_form", "form_change").rows() == [
        ("q1#0", "Oslo", "Oslo", "judged"),
        ("q2#3", "Oslo", "Oslo", "normalised"),
    ]
    unjudged, _ = curate_rollouts(rollouts, SETTINGS)
    assert unjudged["id"].to_list() == ["q2#3"]
    with pytest.raises(InputError, match=r"equivalents: id 'q1#0' .* is no rollout"):
        curate_rollouts(rollouts.tail(1), SETTINGS, equivalents=verdicts)


def test_verdicts_that_would_not_count_are_refused():
    with pytest.raises(InputError, match=r"curate\.answers\.judge"):
        Curate.parse({"answers": {"judge": True}}, "curate")
