"""Several rollouts of a question, and the answer on which most of them agree."""

import json

import pytest
from werkzeug import Response

from helpers.chat import chat
from helpers.rollouts import make_frame, make_rollout
from helpers.scripts import run_script
from searchtrain.config import read_config
from searchtrain.core.errors import InputError
from searchtrain.data import schemas
from searchtrain.evaluation.agreement import choose_agreed


@pytest.mark.parametrize(
    ("answers", "chosen"),
    [
        (["Oslo"], 0),
        (["Bergen", "Oslo", "Oslo"], 1),
        (["Bergen", "the Oslo", "oslo."], 1),
        (["Bergen", "Oslo"], 0),
        (["Bergen", "Oslo", "Oslo", "Bergen"], 0),
        (["", "", "Oslo"], 2),
        (["", ""], 0),
        (["...", "Oslo", "..."], 0),
    ],
)
def test_the_answer_that_most_rollouts_have_wins(answers, chosen):
    other = [make_rollout("q0", answer="Rome")]
    rollouts = [make_rollout("q1", number, answer=text) for number, text in enumerate(answers)]
    frame = choose_agreed(make_frame(*other, *rollouts))
    assert frame["id"].to_list() == ["q0#0", f"q1#{chosen}"]
    assert frame["answer"].to_list() == ["Rome", answers[chosen]]
    assert frame["completion_tokens"].to_list() == [1, len(answers)]


def test_rollouts_that_are_all_alike_are_refused():
    assert read_config({"predict": {"agreement": 1}}).predict.agreement == 1
    with pytest.raises(InputError, match=r"predict\.agreement: 3: rollouts at temperature 0"):
        read_config({"predict": {"agreement": 3}})
    warm = {"student": {"sampling": {"temperature": 0.7}}}
    assert read_config({"predict": {"agreement": 3}, "models": warm}).predict.agreement == 3


def test_the_script_asks_several_times_and_gives_one_prediction(httpserver, tmp_path):
    """The first rollout's request is that of a run without agreement."""
    seeds = []

    def speak(request):
        seeds.append(request.json["seed"])
        answer = "Bergen" if seeds.index(request.json["seed"]) == 0 else "Oslo"
        text = f"<think>So.</think>\n<answer>{answer}</answer>"
        return Response(json.dumps(chat(text)), content_type="application/json")

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(speak)
    url = httpserver.url_for("").rstrip("/")
    question = {"id": "q", "question": "What is the capital of Norway?"}
    (tmp_path / "dev.json").write_text(json.dumps([{**question, "golden_answers": ["Oslo"]}]))
    (tmp_path / "test.json").write_text(json.dumps([question]))
    (tmp_path / "agent.jinja").write_text("Answer.")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/manifest.json").write_text('{"weights": "w"}')

    def predict(agreement, concurrency):
        seeds.clear()
        student = {
            "endpoint": f"{url}/v1",
            "concurrency": concurrency,
            "sampling": {"temperature": 0.7},
        }
        config = {
            "cache": str(tmp_path / f"cache{agreement}"),
            "predict": {"agreement": agreement},
            "models": {"student": student},
        }
        ended = run_script(
            "predict",
            "--dev", tmp_path / "dev.json",
            "--test", tmp_path / "test.json",
            "--splits", "dev",
            "--prompt", tmp_path / "agent.jinja",
            "--model", tmp_path / "model",
            "--servers", json.dumps({"student": f"{url}/v1", "search": url}),
            "--out", tmp_path / "predictions.parquet",
            "--config", json.dumps(config),
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        rows = schemas.read_table(tmp_path / "predictions.parquet", schemas.Predictions)
        return rows.row(0, named=True), rows.height, list(seeds)

    alone, height, (first,) = predict(1, 8)
    assert (alone["answer"], height) == ("Bergen", 1)
    agreed, height, asked = predict(3, 1)
    assert (agreed["answer"], height, len(asked)) == ("Oslo", 1, 3)
    assert first in asked
    assert agreed["completion_tokens"] == 3 * alone["completion_tokens"]
    assert agreed["id"].startswith("dev/q#")
