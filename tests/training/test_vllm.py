"""A real vLLM under the true chat templates: the prompts that it reads, the sampling that it does.

One server at a time: one per template, and of one a second that leaves sampling to the model.
"""

import contextlib

import httpx
import pytest

from helpers.conversations import CASES, QWEN25, list_requests, make_record, make_student
from helpers.families import FAMILIES, FOLDER, write_model
from helpers.servers import serve
from searchtrain.config import Student
from searchtrain.core.errors import InputError
from searchtrain.models.request import make_body
from searchtrain.training.records import list_messages, list_tools
from searchtrain.training.served import Served, read_options

pytestmark = [
    pytest.mark.build,
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no chat templates in {FOLDER}"),
]
IMPOSSIBLE = -100.0
"""Logprob below which vLLM has taken a token out."""
EACH = [(family, "vllm") for family in FAMILIES]
OVERRIDDEN = "Default vLLM sampling parameters have been overridden"


@contextlib.contextmanager
def start(family, folder, generation_config):
    """A server of a family's tiny model: how to ask it, and its log."""
    model, settings = write_model(family, folder / "model"), Student().vllm
    args = {**settings.args, **settings.tuning, "max-model-len": 2048}
    args |= {"generation-config": generation_config, "logprobs-mode": "processed_logprobs"}
    args |= {"enable-auto-tool-choice": True, "tool-call-parser": "hermes"}
    spec = {"serve": "vllm", "model": str(model), "served_model_name": "student"}
    with serve(folder, {**spec, "args": args, "env": settings.env}) as (url, log):

        def ask(body):
            return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=300)

        yield ask, log


@pytest.fixture(scope="module")
def server(request, tmp_path_factory):
    """A family, the folder of its model, how to ask its server, and that one's log.

    Its parameter: the family, and whose sampling a request gets that says nothing of it.
    """
    family, generation_config = request.param
    folder = tmp_path_factory.mktemp("server")
    with start(family, folder, generation_config) as (ask, log):
        yield family, folder / "model", ask, log


@pytest.mark.parametrize("server", EACH, indirect=True, ids=FAMILIES)
def test_the_prompts_that_vllm_reads_are_those_trained_on(server):
    """Token for token, before each turn, in each format that training does not refuse; what it
    refuses is not what is served."""
    from transformers import AutoTokenizer

    family, folder, ask, _ = server
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for name, form, reasoning, _, fault in CASES:
        if name != family:
            continue
        student = make_student(reasoning)
        record, bodies = make_record(form, student), list_requests(form, student)
        replies = [ask({**body, "max_tokens": 1, "return_token_ids": True}) for body in bodies]
        prompts = [reply.json().get("prompt_token_ids") for reply in replies]
        served = Served(tokenizer, read_options(student, form))
        try:
            encoded = served.encode(list_messages(record), list_tools(record))
        except InputError:
            assert fault, (form, reasoning)
            continue
        own = [False, *encoded.own]
        begins = [place for place in range(len(encoded.own)) if own[place : place + 2] == [0, 1]]
        trained = [encoded.ids[:begin] for begin in begins]
        assert (prompts == trained) == (fault is None), (form, reasoning, prompts, trained)


def draw(ask, **fields):
    """The likeliest first tokens under the sampling that a request comes to."""
    message = {"role": "user", "content": "What is the capital of Norway? Oslo, Oslo or Oslo?"}
    body = {"model": "student", "messages": [message], "max_tokens": 1, "seed": 0}
    reply = ask({**body, "logprobs": True, "top_logprobs": 20, **fields}).json()
    return [
        (each["bytes"], round(each["logprob"], 4))
        for each in reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        if each["logprob"] > IMPOSSIBLE
    ]


@pytest.mark.parametrize("server", EACH, indirect=True, ids=FAMILIES)
def test_sampling_is_what_the_request_says_and_not_what_the_model_comes_with(server):
    family, _, ask, log = server
    assert OVERRIDDEN not in log.read_text()
    if family != QWEN25:
        return
    neutral = draw(ask, temperature=1, top_p=1, top_k=0, repetition_penalty=1)
    assert draw(ask, temperature=1) == neutral
    assert draw(ask, temperature=1, repetition_penalty=1.05) != neutral


@pytest.mark.parametrize("server", [(QWEN25, "auto")], indirect=True)
def test_a_server_that_takes_the_models_own_sampling_is_told_otherwise(server):
    *_, ask, log = server
    assert OVERRIDDEN in log.read_text() and "'repetition_penalty': 1.05" in log.read_text()
    own = draw(ask)
    given = {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05}
    assert own == draw(ask, **given)
    # What the client sends for dialect vllm leaves nothing to the server.
    message = {"role": "user", "content": "?"}
    sent = make_body(make_student(sampling={"temperature": 1.0}), [message], 0)
    fields = {name: sent[name] for name in sent.keys() - {"model", "messages", "seed"}}
    neutral = draw(ask, temperature=1, top_p=1, top_k=0, repetition_penalty=1)
    assert draw(ask, **fields) == neutral != own
