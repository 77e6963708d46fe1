"""Retrieval at the size of Wikipedia: time and memory to build an index, and queries a second.

    PYTHONPATH=scripts python tests/benchmarks/bench_retrieval.py WORK 1000000 corpus bm25 tantivy
    PYTHONPATH=scripts python tests/benchmarks/bench_retrieval.py WORK 1000000 product flat fp16 ivf

Passages and queries are generated (`text_model`), files stay in the folder WORK. Lexical: `bm25`,
the project's; `tantivy`, the other candidate, which gets the same terms (tantivy 0.27.0). Vectors
of 768 dimensions: `product`, the project's; FAISS (faiss-cpu 1.15.1) as `flat` (float32), `fp16`
(scalar quantizer, exact) and `ivf` (fp16 in 4,096 lists, 64 of them searched). `corpus` is rule
corpus. Each step is a process of its own and prints a line of JSON: seconds, `memory_MB` the most
that it had (VmHWM; mapped files that it touched count), of these `own_MB` at the end that are not
files. Latencies are of single queries, one after the other; `threads` says how many at once.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from text_model import make_queries, write_corpus

from searchtrain.config import Index
from searchtrain.search.corpus import build_corpus, read_passages
from searchtrain.search.index import build_index, open_index
from searchtrain.search.text import make_analyser

WIDTH = 768
TOPKS = (3, 100)


class Tantivy:
    """Tantivy over the same terms; its k1 and b are fixed (1.2 and 0.75)."""

    def __init__(self, folder: Path) -> None:
        import tantivy

        self.tantivy = tantivy
        self.analyser = make_analyser("english", "english")
        schema = tantivy.SchemaBuilder()
        schema.add_text_field("text", tokenizer_name="spaces", index_option="freq")
        schema.add_unsigned_field("place", fast=True)
        folder.mkdir(exist_ok=True)
        self.index = tantivy.Index(schema.build(), path=str(folder))
        spaces = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        self.index.register_tokenizer("spaces", spaces)

    def build(self, corpus: Path) -> None:
        writer = self.index.writer(heap_size=1_000_000_000, num_threads=1)
        for place, (passage, _) in enumerate(read_passages(corpus)):
            document = self.tantivy.Document()
            document.add_text("text", " ".join(self.analyser.split(passage["contents"])))
            document.add_unsigned("place", place)
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()

    def rank(self, query: str, topk: int) -> list[tuple[int, float]]:
        searcher, part = self.index.searcher(), self.tantivy.Occur.Should
        terms = [
            (part, self.tantivy.Query.term_query(self.index.schema, "text", term, "freq"))
            for term in self.analyser.split(query)
        ]
        query = self.tantivy.Query.boolean_query(terms)
        hits = searcher.search(query, limit=topk, count=False).hits
        places = searcher.fast_field_values("place", [address for _, address in hits])
        return [(place, score) for place, (score, _) in zip(places, hits, strict=True)]


def build_lexical(work: Path, count: int, engine: str) -> dict[str, Any]:
    """Index the corpus."""
    folder = work / f"{engine}-{count}"
    began = time.process_time()
    if engine == "bm25":
        build_index(work / f"{count}.jsonl", folder, Index())
    else:
        Tantivy(folder).build(work / f"{count}.jsonl")
    size = sum(file.stat().st_size for file in folder.iterdir())
    return {"cpu_s": round(time.process_time() - began, 1), "disk_MB": size // 1_000_000}


def query_lexical(work: Path, count: int, engine: str) -> dict[str, Any]:
    """Latency of single queries, and queries a second of several at once."""
    folder, began = work / f"{engine}-{count}", time.perf_counter()
    index = open_index(folder, work / f"{count}.jsonl") if engine == "bm25" else Tantivy(folder)
    queries = make_queries(320)
    for query in queries[:20]:
        index.rank(query, max(TOPKS))
    report: dict[str, Any] = {"load_s": round(time.perf_counter() - began, 1)}
    for topk in TOPKS:
        latencies = []
        for query in queries[20:]:
            start = time.perf_counter()
            index.rank(query, topk)
            latencies.append(1e3 * (time.perf_counter() - start))
        p50, p95 = np.percentile(latencies, [50, 95])
        start = time.perf_counter()
        cores = os.cpu_count()
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(lambda query, topk=topk: index.rank(query, topk), queries[20:]))
        report[f"top{topk}"] = {
            "queries_per_s": round(1e3 / np.mean(latencies), 1),
            "p50_ms": round(p50, 2),
            "p95_ms": round(p95, 2),
            f"queries_per_s_{os.cpu_count()}_threads": round(
                300 / (time.perf_counter() - start), 1
            ),
        }
    return report


def build_rows(work: Path, count: int, _: str) -> dict[str, Any]:
    """Rule corpus."""
    build_corpus(work / f"{count}.jsonl", work / "checked.jsonl")
    (work / "checked.jsonl").unlink()
    return {}


def query_vectors(work: Path, count: int, kind: str) -> dict[str, Any]:
    """Exact or approximate search by inner product, in batches of 1 and 64."""
    stored, began = np.load(make_vectors(work, count), mmap_mode="r"), time.perf_counter()
    random = np.random.default_rng(2)
    queries = stored[random.choice(count, 64, replace=False)].astype(np.float32)
    queries += 0.02 * random.standard_normal(queries.shape, dtype=np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    if kind == "product":
        from searchtrain.search.vectors import load_vectors

        find = load_vectors([work / f"{count}.npy"], ["cpu"]).find
    else:
        import faiss

        faiss.omp_set_num_threads(1)
        half, product = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        if kind == "flat":
            index = faiss.IndexFlatIP(WIDTH)
        elif kind == "fp16":
            index = faiss.IndexScalarQuantizer(WIDTH, half, product)
        else:
            lists = faiss.IndexFlatIP(WIDTH)
            index = faiss.IndexIVFScalarQuantizer(lists, WIDTH, 4096, half, product, False)
            index.cp.niter, index.nprobe = 10, 64
        index.train(stored[: 40 * 4096].astype(np.float32))
        for start in range(0, count, 50_000):
            index.add(stored[start : start + 50_000].astype(np.float32))

        def find(queries, topk):
            return index.search(queries, topk)[1], None

    report: dict[str, Any] = {"build_s": round(time.perf_counter() - began, 1)}
    for topk in TOPKS:
        for size in (1, 64):
            find(queries[:size], topk)
            start, rounds = time.perf_counter(), 0
            while time.perf_counter() - start < 3:
                find(queries[:size], topk)
                rounds += 1
            spent = (time.perf_counter() - start) / rounds
            report[f"top{topk}_batch{size}_ms"] = round(1e3 * spent, 1)
    return report


def make_vectors(work: Path, count: int) -> Path:
    """A file of float16 vectors of length 1 around 1,000 centres."""
    file = work / f"{count}.npy"
    if not file.exists():
        random = np.random.default_rng(1)
        out = np.lib.format.open_memmap(file, "w+", np.float16, (count, WIDTH))
        centres = random.standard_normal((1000, WIDTH), dtype=np.float32)
        for start in range(0, count, 50_000):
            part = centres[random.integers(0, 1000, len(out[start : start + 50_000]))]
            part += random.standard_normal(part.shape, dtype=np.float32)
            out[start : start + 50_000] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return file


LEXICAL, VECTORS = ("bm25", "tantivy"), ("product", "flat", "fp16", "ivf")
STEPS = {
    "corpus": [build_rows],
    **{engine: [build_lexical, query_lexical] for engine in LEXICAL},
    **{kind: [query_vectors] for kind in VECTORS},
}


def main() -> None:
    """Run each step in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("passages", type=int)
    parser.add_argument("what", nargs="+", choices=STEPS)
    parser.add_argument("--step", type=int, help="only this one, in this process")
    args = parser.parse_args()
    args.work.mkdir(exist_ok=True)
    corpus = args.work / f"{args.passages}.jsonl"
    if not corpus.exists():
        write_corpus(corpus, args.passages)
    if args.step is not None:
        (what,), start = args.what, time.perf_counter()
        step = STEPS[what][args.step]
        report = step(args.work, args.passages, what)
        spent = round(time.perf_counter() - start, 1)
        status = Path("/proc/self/status").read_text().split()
        memory = [int(status[status.index(key) + 1]) // 1000 for key in ("VmHWM:", "RssAnon:")]
        head = {"what": what, "step": step.__name__, "passages": args.passages, "seconds": spent}
        print(json.dumps({**head, "memory_MB": memory[0], "own_MB": memory[1], **report}))
        return
    for what in args.what:
        for step in range(len(STEPS[what])):
            own = [sys.executable, __file__, str(args.work), str(args.passages), what]
            subprocess.run([*own, "--step", str(step)], check=True)


if __name__ == "__main__":
    main()
