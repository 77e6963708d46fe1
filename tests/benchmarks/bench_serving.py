"""Measure vLLM under the load of search rollouts, with random weights of a model's true shape.

    python tests/benchmarks/bench_serving.py --work /tmp/bench --model 7b --tp 1 --out student.json
    python tests/benchmarks/bench_serving.py --work /tmp/bench --model 72b --tp 4 --out teacher.json

Starts the server as the workflow does (scripts/serve.py) with `--load-format dummy`, and plays
rollouts against it: a system prompt and a question, then for each of one to four searches a turn
of the model and an observation of three passages, then an answer. A random model does not speak
the grammar, so a turn's length is drawn and its end of text ignored; the observation is random
tokens. Prints one JSON line: requests, tokens and rollouts per second, the share of prompt tokens
that the prefix cache had, MFU (2 x parameters x tokens computed over 989 TFLOP/s for each GPU),
peak memory, versions.
"""

import argparse
import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from urllib.request import urlopen

from bench_training import PEAK, SEARCHES, SHAPE, WORDS, make_tokenizer

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from searchtrain.serving.endpoint import wait_ready  # noqa: E402

MODELS = {
    "7b": (SHAPE, 7.616e9),
    "72b": (
        {
            **SHAPE,
            "hidden_size": 8_192,
            "intermediate_size": 29_568,
            "num_hidden_layers": 80,
            "num_attention_heads": 64,
            "num_key_value_heads": 8,
        },
        72.706e9,
    ),
}
"""Qwen2.5's shapes, from their config.json, and parameters."""
SYSTEM = 300
QUESTION = (10, 30)
TURN = (40, 90)
OBSERVATION = (380, 500)
ANSWER = (20, 70)
"""Tokens: of the system prompt, and least and most of the other parts."""


def make_model(folder: Path, shape: dict) -> None:
    """A model folder without weights."""
    from transformers import Qwen2Config

    make_tokenizer(folder)
    config = Qwen2Config(**shape, dtype="bfloat16", architectures=["Qwen2ForCausalLM"])
    config.save_pretrained(folder)


def read_cache(url: str) -> tuple[float, float]:
    """Prompt tokens that the prefix cache was asked for and had, since the server's start."""
    text = urlopen(f"{url}/metrics").read().decode()
    found = [
        re.findall(rf"^vllm:prefix_cache_{name}_total\S* (\S+)$", text, re.MULTILINE)
        for name in ("queries", "hits")
    ]
    return sum(map(float, found[0])), sum(map(float, found[1]))


async def play(url: str, rollouts: int, concurrency: int, seed: int) -> dict:
    """Play rollouts, so many at a time; what they took."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", timeout=1800, max_retries=5)
    gate = asyncio.Semaphore(concurrency)
    total = {"requests": 0, "prompt_tokens": 0, "output_tokens": 0}

    def say(draw: random.Random, length: int) -> list[int]:
        return [draw.randrange(WORDS) for _ in range(length)]

    system = say(random.Random(0), SYSTEM)

    async def roll_out(number: int) -> None:
        draw = random.Random(f"{seed} {number}")
        prompt = system + say(draw, draw.randint(*QUESTION))
        searches = draw.choice(SEARCHES)
        async with gate:
            for turn in range(searches + 1):
                length = draw.randint(*(TURN if turn < searches else ANSWER))
                answer = await client.completions.create(
                    model="bench", prompt=prompt, max_tokens=length, temperature=0.7,
                    extra_body={"ignore_eos": True, "return_token_ids": True},
                )  # fmt: skip
                total["requests"] += 1
                total["prompt_tokens"] += answer.usage.prompt_tokens
                total["output_tokens"] += answer.usage.completion_tokens
                prompt = prompt + answer.choices[0].token_ids
                prompt += say(draw, draw.randint(*OBSERVATION))

    begun = time.perf_counter()
    async with client:
        await asyncio.gather(*(roll_out(number) for number in range(rollouts)))
    return {**total, "seconds": time.perf_counter() - begun}


def read_memory(gpus: str) -> list[int]:
    """Memory in use on each GPU, MiB."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", gpus]
    return [int(line) for line in subprocess.check_output(query, text=True).split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--tp", type=int, default=1)
    parser.add_argument("--gpus", help="device numbers; left out: the first --tp")
    parser.add_argument("--rollouts", type=int, default=1_000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--args", type=json.loads, default={}, help="more arguments of vLLM")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    gpus = args.gpus or ",".join(map(str, range(args.tp)))
    shape, parameters = MODELS[args.model]
    folder = args.work / args.model
    if not folder.exists():
        make_model(folder, shape)
    name = f"{args.model}-tp{args.tp}-{gpus.replace(',', '')}"
    endpoint, log = args.work / f"{name}.json", args.work / f"{name}.log"
    spec = {
        "serve": "vllm", "model": str(folder), "served_model_name": "bench", "ready_timeout": 900,
        "args": {
            "load-format": "dummy", "dtype": "bfloat16", "tensor-parallel-size": args.tp,
            "max-model-len": 8_192, "max-num-seqs": 512, "max-num-batched-tokens": 16_384,
            "gpu-memory-utilization": 0.92, "enable-prefix-caching": True,
            "disable-uvicorn-access-log": True, "seed": 0, **args.args,
        },
        "env": {"CUDA_VISIBLE_DEVICES": gpus},
    }  # fmt: skip
    command = [sys.executable, str(ROOT / "scripts/serve.py"), "--server", "bench"]
    command += ["--spec", json.dumps(spec), "--endpoint", str(endpoint), "--log", str(log)]
    endpoint.unlink(missing_ok=True)
    begun = time.perf_counter()
    server = subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL)
    try:
        while not endpoint.exists():
            time.sleep(0.1)
        url = wait_ready(str(endpoint), 900)
        started = time.perf_counter() - begun
        asyncio.run(play(url, args.concurrency, args.concurrency, seed=1))
        queries, hits = read_cache(url)
        facts = asyncio.run(play(url, args.rollouts, args.concurrency, seed=2))
        queries, hits = (
            now - then for now, then in zip(read_cache(url), (queries, hits), strict=True)
        )
        memory = read_memory(gpus)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
    seconds = facts["seconds"]
    computed = facts["prompt_tokens"] + facts["output_tokens"] - hits
    facts |= {
        "model": args.model, "tp": args.tp, "concurrency": args.concurrency,
        "rollouts": args.rollouts, "start_s": started,
        "rollouts_per_s": args.rollouts / seconds,
        "output_tokens_per_s": facts["output_tokens"] / seconds,
        "prompt_tokens_per_s": facts["prompt_tokens"] / seconds,
        "prefix_cache_hit": hits / max(queries, 1),
        "mfu": 2 * parameters * computed / seconds / (PEAK * args.tp),
        "memory_mib": memory,
        **{package: version(package) for package in ("vllm", "torch", "transformers")},
    }  # fmt: skip
    line = json.dumps(facts)
    print(line, flush=True)
    if args.out:
        args.out.write_text(line + "\n")


if __name__ == "__main__":
    main()
