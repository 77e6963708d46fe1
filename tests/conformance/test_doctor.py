"""The probe before a run: what works, what is adapted, what is refused and the remedy."""

from pathlib import Path

import pytest

from conformance.kinds import KINDS
from conformance.server import serve
from conformance.test_stages import SETTINGS
from helpers.families import FOLDER
from searchtrain.config import read_config
from searchtrain.core.errors import ServiceError
from searchtrain.report import doctor
from searchtrain.workflow.stages import list_asked

PROMPTS = Path(__file__).parents[2] / "config/prompts"
RUN = {
    "judge": {"enabled": True},
    "refine": {"enabled": True},
    "trees": {"enabled": True},
    "tag": {"sampling": {"max_tokens": 2048}},
    "trajectories": {"sampling": {"max_tokens": 4096}, "limits": {"max_completion_tokens": 9000}},
}


def examine(served, settings, tmp_path, **changes):
    """The findings of a run whose every role is at one endpoint."""
    endpoint = {"endpoint": served.url, "serve": None, "same_as": None, "model": served.model}
    roles = ["teacher", "refiner", "judge", "planner", "browser", "writer", "solver", "verifier"]
    models = {role: {**endpoint, **settings} for role in roles}
    config = read_config({**RUN, "cache": str(tmp_path), "models": models, **changes})
    asked = list_asked(config)
    return doctor.examine(config, asked, dict.fromkeys(roles, served.url), PROMPTS)


@pytest.mark.parametrize("kind", SETTINGS)
def test_an_endpoint_that_is_declared_rightly_works(kind, tmp_path):
    with serve(kind, endless=0.0) as served:
        findings = examine(served, SETTINGS[kind], tmp_path)
        text = doctor.format_findings(findings)
        doctor.check_findings(findings)
        assert len(findings) == 9 and served.ledger.answers <= 25
    assert all(each.state != "refused" and each.tokens for each in findings), text


def test_what_is_adapted_is_told_as_the_setting_that_it_should_be(tmp_path):
    with serve("deepseek") as served:
        findings = examine(served, {"dialect": "openai", "reasoning": "native"}, tmp_path)
    tagger = findings[0]
    assert tagger.state == "adapted"
    assert "set models.teacher.wire to {'answers': 'json_object'}" in tagger.note


@pytest.mark.parametrize(
    ("kind", "settings", "remedy"),
    [
        # Its true template leaves observations of role `tool` out.
        pytest.param(
            "vllm-r1", {"dialect": "vllm", "reasoning": "native"}, "observations: user",
            marks=pytest.mark.skipif(not FOLDER.exists(), reason="needs the true templates"),
        ),
        ("openai-quota", {}, "quota"),
        ("deepseek", {"dialect": "deepseek", "model": "deepseek-chat"}, "deepseek-v4-pro"),
        ("openai-reasoning", {}, "take it out of the sampling"),
        ("vllm-qwen25", {"dialect": "vllm", "model": "other"}, "does not exist"),
    ],
)  # fmt: skip
def test_what_can_not_work_is_refused_with_the_remedy(kind, settings, remedy, tmp_path):
    with serve(kind) as served:
        findings = examine(served, settings, tmp_path)
        with pytest.raises(ServiceError, match="nothing else is sent") as caught:
            doctor.check_findings(findings)
        assert remedy in str(caught.value), str(caught.value)


def test_asking_again_costs_nothing(tmp_path):
    with serve("openai") as served:
        examine(served, {}, tmp_path)
        before = served.ledger.requests
        findings = examine(served, {}, tmp_path)
        assert served.ledger.requests == before
    assert all(each.state == "works" for each in findings)


def test_every_kind_stands_in_the_documentation():
    page = (Path(__file__).parents[2] / "docs/endpoints.md").read_text(encoding="utf-8")
    assert all(f"`{kind}`" in page for kind in KINDS)
