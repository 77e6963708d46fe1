"""Every role of the pipeline at every kind of endpoint, with what a user would set for it."""

import pytest

from conformance.kinds import KINDS
from conformance.server import serve
from conformance.stages import (
    IN_FLIGHT,
    LIMITS,
    OBJECT,
    Desk,
    grow,
    judge_answers,
    measure_usable,
    roll_out,
    tag,
    verify,
    write,
)
from searchtrain.core.errors import ServiceError

NATIVE = {"reasoning": "native"}
AS_USER = {"wire": {"observations": "user"}}
SETTINGS = {
    "openai": {},
    "openai-limited": {},
    "openai-reasoning": {"dialect": "openai_reasoning", **NATIVE},
    "deepseek": {"dialect": "deepseek", **NATIVE},
    "dashscope": {"dialect": "dashscope", **NATIVE},
    "dashscope-qwq": {"dialect": "dashscope", **NATIVE},
    "openrouter": {"dialect": "openrouter"},
    "openrouter-thinking": {"dialect": "openrouter", **NATIVE},
    "vllm-qwen25": {"dialect": "vllm"},
    "vllm-llama3": {"dialect": "vllm", **AS_USER},
    "vllm-qwq": {"dialect": "vllm", **NATIVE},
    "vllm-qwq-parser": {"dialect": "vllm", **NATIVE},
    "vllm-qwq-parser-old": {"dialect": "vllm", **NATIVE},
    "vllm-r1": {"dialect": "vllm", **NATIVE, **AS_USER},
    "qwen3": {"dialect": "vllm", **NATIVE},
    "qwen3-thinking": {"dialect": "vllm", **NATIVE},
    "vllm-gpt-oss": {"dialect": "vllm", **NATIVE},
    "sglang": {"dialect": "sglang"},
    "tgi": {"dialect": "tgi"},
    "llamacpp": {"dialect": "llamacpp"},
    "chatty": {},
    "chatty-nostop": {},
}
"""What stands in `models.<role>` for each kind."""
LEAST = {"chatty": 0.9, "chatty-nostop": 0.9}
"""Of usable rollouts; 0.95 elsewhere."""
PASSING = ("rate", "error_200")
"""Refusals that nothing is learnt from: the same request is sent again."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return Desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def trees(desk):
    """Trees and their questions from an endpoint without faults."""
    with serve("openai") as served:
        grown, _ = grow(desk, served, {}, count=12)
        return grown, write(desk, served, {}, grown)


@pytest.fixture(params=SETTINGS)
def kind(request):
    return request.param


@pytest.fixture
def served(kind):
    with serve(kind) as server:
        yield server
        assert not server.ledger.early
        assert server.ledger.deviations["lost"] == 0, server.ledger.summarise()


def check_refusals(served):
    """What an endpoint refuses is learnt once: by at most the requests that are on their way."""
    for reason, count in served.ledger.refusals.items():
        assert reason in PASSING or count <= IN_FLIGHT, served.ledger.summarise()


def test_every_kind_but_the_one_without_money_is_here():
    assert SETTINGS.keys() == KINDS.keys() - {"openai-quota"}


def test_tagger(kind, served, desk):
    assert tag(desk, served, SETTINGS[kind]) >= LEAST.get(kind, 0.95)
    check_refusals(served)


def test_agent(kind, served, desk):
    rows, usage, _ = roll_out(desk, served, SETTINGS[kind])
    endless = served.ledger.deviations["endless"]
    usable = measure_usable(rows)
    least = LEAST.get(kind, 0.95)
    assert usable >= least - endless / rows.height, (served.ledger.summarise(), usage)
    assert (rows["stop_reason"] == "token_limit").sum() <= endless
    check_refusals(served)


def test_refiner(kind, served, desk):
    rows, _, usage = roll_out(desk, served, SETTINGS[kind], refine=True, count=15)
    fallbacks, asked = rows["fallbacks"].sum(), usage["requests"]
    assert asked and fallbacks <= 0.05 * asked, served.ledger.summarise()


def test_judge(kind, served, desk):
    assert judge_answers(desk, served, SETTINGS[kind]) >= 0.95


def test_planner_and_browser(kind, served, desk):
    trees, refused = grow(desk, served, SETTINGS[kind])
    ended = trees["status"].is_in(["done", "quit", "truncated"]).sum()
    assert ended == trees.height and (trees["status"] == "done").sum(), (
        trees["fault"].to_list(),
        refused,
    )


def test_writer_solver_and_verifier(kind, served, desk, trees):
    grown, _ = trees
    written = write(desk, served, SETTINGS[kind], grown)
    finished = (grown["status"] == "done").sum()
    assert (written["question"] != "").sum() >= 0.9 * finished > 0
    verdicts = verify(desk, served, SETTINGS[kind], trees[1])
    assert (verdicts["error"] != "").sum() == 0, verdicts["error"].to_list()


def test_forced_answer(kind, served, desk):
    rows, _, _ = roll_out(desk, served, SETTINGS[kind], closed=True, count=20)
    assert (rows["answer"] == "").sum() == 0, rows["stop_reason"].to_list()
    assert set(rows["error"]) == {""}


def test_an_account_without_money_ends_the_stage_at_once(desk):
    with serve("openai-quota") as served:
        with pytest.raises(ServiceError, match="quota"):
            tag(desk, served, {})
        assert served.ledger.requests <= 8


@pytest.mark.parametrize("kind", ["vllm-qwen25", "vllm-qwq", "sglang", "llamacpp"])
def test_sampling_that_the_api_library_does_not_know_arrives(kind, desk):
    with serve(kind) as served:
        sampling = type(OBJECT)(**{**OBJECT.model_dump(), "top_k": 40})
        tag(desk, served, SETTINGS[kind], sampling, count=5)
        assert served.ledger.sent("top_k") == [40]


def test_sampling_that_the_endpoint_does_not_know_ends_the_stage_and_is_named(desk):
    with serve("openai") as served:
        sampling = type(OBJECT)(**{**OBJECT.model_dump(), "top_k": 40})
        with pytest.raises(ServiceError, match="does not take top_k"):
            tag(desk, served, {}, sampling)
        assert served.ledger.requests <= IN_FLIGHT


def test_what_is_sent_to_vllm_is_what_is_configured(desk):
    with serve("vllm-qwen25") as served:
        roll_out(desk, served, SETTINGS["vllm-qwen25"], count=3)
        sent = {
            name: served.ledger.sent(name)
            for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
        }
    assert sent == {
        "temperature": [0.7], "top_p": [1.0], "top_k": [0], "min_p": [0.0],
        "repetition_penalty": [1.0],
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["openai", "vllm-qwen25", "sglang", "tgi", "deepseek"])
def test_an_answer_that_does_not_fit_the_context_gets_what_is_left(kind, desk):
    """1,800 tokens of context hold the prompt, and not the 4,096 tokens that are asked for."""
    with serve(kind, context=1800) as served:
        rows, usage, _ = roll_out(desk, served, SETTINGS[kind], count=4)
        assert usage["shortened"] and (rows["answer"] != "").any(), rows["error"].to_list()


@pytest.mark.parametrize("kind", ["openai", "vllm-qwen25", "vllm-qwq-parser", "qwen3", "deepseek"])
def test_no_answer_is_blank_when_the_context_is_full(kind, desk):
    limits = LIMITS.model_copy(update={"force_answer": True})
    with serve(kind, context=1100) as served:
        rows, _, _ = roll_out(desk, served, SETTINGS[kind], limits=limits, count=10)
        assert (rows["answer"] == "").sum() == 0, rows.select("stop_reason", "error").rows()
