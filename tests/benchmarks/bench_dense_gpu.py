"""Dense retrieval on one GPU at E5-base's shape: encoding, and exact search over 21 M passages.

    PYTHONPATH=scripts python tests/benchmarks/bench_dense_gpu.py

The encoder is BERT-base with random weights (the speed does not depend on them), the vectors are
random. Passages have 131 to 147 tokens (wiki-18's 100 words have about 140 of E5's), queries 12 to
24, prefixes included. Needs torch, transformers, sentence-transformers and numpy. Prints JSON.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers.encoder import make_encoder
from searchtrain.search import encoder as encoders
from searchtrain.search.encoder import Encoder, list_devices
from searchtrain.search.vectors import GPU_ROWS, VectorSearch

WIDTH = 768


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=21_015_324, help="vectors (wiki-18's)")
    parser.add_argument("--passages", type=int, default=65_536, help="encoded in each trial")
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--layers", type=int, default=12)
    args = parser.parse_args()
    device = list_devices(args.gpus)[0]
    report = {"torch": torch.__version__, "device": device}
    if args.gpus:
        report["device"] = torch.cuda.get_device_name(device)
    with tempfile.TemporaryDirectory() as folder:
        words = [f"w{number}" for number in range(30_000)]
        shape = {"num_hidden_layers": args.layers, "vocab_size": 30_522}
        make_encoder(Path(folder), words, **shape)
        report |= measure_encoder(Path(folder), words, args.passages, args.gpus)
    report |= measure_search(args.rows, args.gpus)
    print(json.dumps(report))


def measure_encoder(folder: Path, words: list[str], count: int, gpus: int) -> dict:
    """Passages and queries a second, by the number of processes on each GPU."""
    random, report = np.random.default_rng(1), {}
    devices = list_devices(gpus)
    passages = [" ".join(random.choice(words, n)) for n in random.integers(126, 143, count)]
    queries = [" ".join(random.choice(words, n)) for n in random.integers(7, 20, 4096)]
    encoder = Encoder(folder, 256, devices[0])
    encoder.encode(passages[:1024], "passage: ")
    report["passages_per_s"] = {"in this process": measure_rate(encoder, passages)}
    peak = torch.cuda.max_memory_allocated() if gpus else 0
    for size in (1, 64, 512):
        encoder.encode(queries[:size], "query: ")
        batches = [queries[s : s + size] for s in range(0, min(len(queries), 64 * size), size)]
        start = time.perf_counter()
        for batch in batches:
            encoder.encode(batch, "query: ")
        spent = time.perf_counter() - start
        report.setdefault("queries_per_s", {})[size] = round(sum(map(len, batches)) / spent, 1)
    for processes in (1, encoders.PROCESSES, 3) if gpus else (1,):
        with Encoder(folder, 256, devices[0]).spread(devices * processes) as spread:
            spread.encode(passages[:8192], "passage: ")
            report["passages_per_s"][f"{processes} per device"] = measure_rate(spread, passages)
    return {**report, "encoder_peak_GB": round(peak / 1e9, 2)}


def measure_rate(encoder: Encoder, texts: list[str]) -> float:
    """Texts encoded a second."""
    start = time.perf_counter()
    encoder.encode(texts, "passage: ")
    return round(len(texts) / (time.perf_counter() - start), 1)


def measure_search(rows: int, gpus: int) -> dict:
    """Searches a second over random vectors, by batch and topk; latency of a batch in ms."""
    devices, report = list_devices(gpus), {"rows": rows}
    generator = [torch.Generator(device).manual_seed(place) for place, device in enumerate(devices)]
    blocks = []
    for number, start in enumerate(range(0, rows, GPU_ROWS)):
        which = number % len(devices)
        shape = (min(GPU_ROWS, rows - start), WIDTH)
        block = torch.empty(shape, dtype=torch.float16, device=devices[which])
        for part in block.split(1 << 17):
            drawn = torch.randn(part.shape, generator=generator[which], device=devices[which])
            part.copy_(torch.nn.functional.normalize(drawn, dim=1))
        blocks.append(block)
    search = VectorSearch(blocks)
    random = np.random.default_rng(3)
    queries = random.standard_normal((512, WIDTH), dtype=np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    # The search finds what a vector of its own is nearest to, and agrees with single precision.
    own = blocks[-1][-5:].float().cpu().numpy()
    assert search.find(own, 1)[0][:, 0].tolist() == list(range(rows - 5, rows))
    _, scores = search.find(queries[:2], 100)
    exact = np.concatenate(
        [
            (torch.from_numpy(queries[:2]).to(part.device) @ part.float().T).cpu().numpy()
            for block in blocks
            for part in block.split(1 << 18)
        ],
        axis=1,
    )
    report["same_as_float32"] = bool(
        np.allclose(np.sort(exact, axis=1)[:, ::-1][:, :100], scores, atol=2e-6)
    )
    for topk in (3, 100):
        for size in (1, 64, 512):
            search.find(queries[:size], topk)
            count, start = 0, time.perf_counter()
            while time.perf_counter() - start < 3:
                search.find(queries[:size], topk)
                count += 1
            spent = (time.perf_counter() - start) / count
            report[f"search_top{topk}_batch{size}"] = {
                "ms": round(spent * 1e3, 2),
                "queries_per_s": round(size / spent, 1),
            }
    if gpus:
        report["search_peak_GB"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return report


if __name__ == "__main__":
    main()
