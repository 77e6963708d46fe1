"""vLLM inside the trainer writes what Hugging Face does."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers.generators import GREEDY, make_requests, open_generator
from searchtrain.core.errors import InputError
from searchtrain.rl.colocated import open_colocated
from searchtrain.rl.generation import Generated, Request

ROOT = Path(__file__).parents[2]

ENGINE = """
import json, sys
from dataclasses import asdict
from vllm import LLM
from searchtrain.rl.colocated import ColocatedGenerator
from searchtrain.rl.generation import Request, Sampling

model, asked, out = sys.argv[1:]
engine = LLM(
    model, dtype="float32", max_model_len=512, max_num_seqs=4, max_num_batched_tokens=512,
    enforce_eager=True, enable_chunked_prefill=False, kv_cache_memory_bytes=50_000_000,
    logprobs_mode="processed_logprobs",
)
generator = ColocatedGenerator(engine, Sampling(0.0, 1.0, 24))
assert generator.context == 512
turns = generator.generate([Request(**request) for request in json.loads(asked)])
open(out, "w").write(json.dumps([asdict(turn) for turn in turns]))
"""


@pytest.mark.build
def test_vllm_writes_the_same_turns(folder, model, tokenizer, tmp_path):
    """In a process of its own: the engine takes hold of the one that it runs in."""
    pytest.importorskip("vllm", reason="vLLM is in the other environment")
    requests = make_requests(tokenizer, 3)
    plain = open_generator(model, tokenizer, GREEDY).generate(requests)
    ends = plain[0].text[4:9]  # a stop string that comes
    requests = [Request(list(request.ids), 1, [ends]) for request in requests]
    asked = json.dumps([asdict(request) for request in requests])
    ended = subprocess.run(
        [sys.executable, "-c", ENGINE, folder, asked, tmp_path / "turns.json"],
        env={
            **os.environ, "HF_HUB_OFFLINE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "PYTHONPATH": str(ROOT / "scripts"),
        },
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    turns = [Generated(**turn) for turn in json.loads((tmp_path / "turns.json").read_text())]
    expected = open_generator(model, tokenizer, GREEDY).generate(requests)
    assert turns[0].finish_reason == "stop" and turns[0].text.endswith(ends)
    for one, other in zip(turns, expected, strict=True):
        assert (one.ids, one.text, one.finish_reason) == (
            other.ids, other.text, other.finish_reason
        )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [("mode", "server"), ("tensor_parallel_size", 2), ("enable_sleep_mode", True)],
)
def test_a_vllm_that_rollouts_can_not_ask_is_refused(name, value):
    fitting = {"mode": "colocate", "tensor_parallel_size": 1, "enable_sleep_mode": False}
    trainer = SimpleNamespace(vllm_generation=SimpleNamespace(**{**fitting, name: value}))
    with pytest.raises(InputError, match=rf"grpo\.vllm\.{name}"):
        open_colocated(trainer, GREEDY)
