"""What the scale files send and serve, against the real OpenAI SDK and vLLM's own arguments."""

import asyncio
import inspect
import json

import pytest
import yaml
from openai.resources.chat.completions import AsyncCompletions
from snakemake.utils import update_config

from helpers.checkout import ROOT
from searchtrain.agent import grammar
from searchtrain.config import read_config
from searchtrain.models.client import ModelClient
from searchtrain.models.role import make_role
from searchtrain.workflow.servers import describe_launch, find_server
from searchtrain.workflow.stages import find_section, list_asked

CONFIG = ROOT / "config"
PRESETS = {"h200x8": "search_sft", "simpledeepsearcher": "simpledeepsearcher"}
SCALES = sorted(file.stem for file in (CONFIG / "scale").iterdir())
GONE = ("deepseek-chat", "deepseek-reasoner")
"""Names that an endpoint has taken back."""
KNOWN = set(inspect.signature(AsyncCompletions.create).parameters)
"""Fields of OpenAI's own API."""
MESSAGES = [
    {"role": "system", "content": "Answer."},
    {"role": "user", "content": "Where is Oslo?"},
    {"role": "assistant", "content": "<think>I look.</think>\n<search>Oslo</search>"},
    {"role": "tool", "content": "<information>\nOslo is in Norway.\n</information>"},
]
REPLY = {
    "id": "1", "object": "chat.completion", "created": 0,
    "choices": [
        {
            "index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": '{"answer": "Norway"}'},
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip
SCHEMA = {
    "type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"],
    "additionalProperties": False,
}  # fmt: skip


@pytest.fixture(params=SCALES)
def published(request):
    """The config of a preset at its published size."""
    values = {}
    for file in (f"presets/{PRESETS.get(request.param, request.param)}", f"scale/{request.param}"):
        update_config(values, yaml.safe_load((CONFIG / f"{file}.yaml").read_text()))
    return read_config(values)


def list_requests(config):
    """Role, sampling, and how it is asked, of every kind of request of a run."""
    for stage, role, path in list_asked(config):
        asked = {"stop": grammar.STOP} if stage == "trajectories" else {"schema": SCHEMA}
        yield role, find_section(config, path), asked
    student = config.models.student.sampling
    yield "student", student, {"stop": grammar.STOP}
    if config.predict.limits.force_answer:
        yield "student", student, {"prefill": "<think>So.</think>\n<answer>"}
    if config.rounds.count > 1:
        yield "student", config.rounds.sampling, {"stop": grammar.STOP}


def test_a_server_knows_every_field_that_it_is_sent(published, monkeypatch, httpserver):
    """vLLM passes over fields that it does not know, so that a slip in a name would go unseen."""
    protocol = pytest.importorskip("vllm.entrypoints.openai.chat_completion.protocol")
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-1")
    seen = set()
    for name, sampling, asked in list_requests(published):
        role = make_role(published, name, sampling)
        sent = send(httpserver, role, asked)
        seen.add(name)
        for field, value in sampling.tracked().items():
            # DeepSeek's dialect may say how long an answer is in another field.
            assert sent.get(field, value) == value or field == "max_tokens"
        if role.dialect == "vllm":
            request = protocol.ChatCompletionRequest.model_validate(sent)
            assert not request.model_extra
            assert request.repetition_penalty == 1.0 and "top_k" in sent
        else:
            assert set(sent) <= KNOWN | {"thinking"}
        assert not any(message["role"] == "tool" for message in sent["messages"]) or (
            role.dialect == "vllm"
        )
        assert role.model not in GONE
    assert {"teacher", "student"} <= seen


def send(httpserver, role, asked):
    """The body of a request, as a server reads it."""
    httpserver.clear()
    httpserver.expect_request("/v1/chat/completions").respond_with_json(
        REPLY | {"model": role.model}
    )
    client = ModelClient(role, httpserver.url_for("/v1"), None)
    asyncio.run(client.complete(MESSAGES, seed=1, **asked))
    ((request, _),) = httpserver.log
    return request.get_json()


def test_a_student_behind_a_key_sends_it(published, monkeypatch):
    monkeypatch.setenv("STUDENT_KEY", "sk-2")
    values = published.changes()
    update_config(values, {"models": {"student": {"api_key_env": "STUDENT_KEY"}}})
    config = read_config(values)
    role = make_role(config, "student", config.models.student.sampling)
    assert ModelClient(role, "https://models.example/v1", None)._client.api_key == "sk-2"


@pytest.fixture(scope="module")
def parser():
    """The parser of vLLM's own server."""
    arguments = pytest.importorskip("vllm.entrypoints.openai.cli_args")
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    return arguments.make_arg_parser(FlexibleArgumentParser())


def test_vllm_takes_the_command_line_of_every_served_role(published, parser):
    from searchtrain.serving.command import build_command
    from searchtrain.serving.spec import ServerSpec

    roles = {role for _, role, _ in list_asked(published)} | {"student"}
    served = 0
    for name in sorted({find_server(published, role).name for role in roles}):
        section = find_server(published, name).section
        if section.endpoint:
            continue
        files = ["results/checkpoint"] if name == "student" else []
        spec = ServerSpec(**json.loads(describe_launch(published, "predict", name, files)))
        assert spec.serve == "vllm"
        _, module, *command = build_command(spec, 8000)[1:]
        args = parser.parse_args(command)
        assert args.generation_config == "vllm" and module.startswith("vllm.")
        assert args.tensor_parallel_size == section.gpu == spec.gpus
        assert args.max_model_len == section.vllm.args["max-model-len"]
        served += 1
    assert served >= 2
