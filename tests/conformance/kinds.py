"""The table of kinds: which endpoint, which model, and how that model behaves."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from conformance.brain import Mind
from conformance.endpoints.base import Endpoint
from conformance.endpoints.dashscope import DashScope
from conformance.endpoints.deepseek import DeepSeek
from conformance.endpoints.lenient import Lenient
from conformance.endpoints.llamacpp import LlamaCpp
from conformance.endpoints.openai import OpenAI, OpenAIReasoning
from conformance.endpoints.openrouter import OpenRouter
from conformance.endpoints.sglang import SGLang
from conformance.endpoints.tgi import Tgi
from conformance.endpoints.vllm import Vllm, VllmHarmony

INSTRUCT = Mind()
"""Does as the prompt says."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One endpoint with its model. A test changes any field, or any field of its mind."""

    endpoint: type[Endpoint]
    models: tuple[str, ...]
    """Names that it answers to; the first is what a test asks for."""
    mind: Mind = INSTRUCT
    context: int = 32_768
    """Tokens of prompt and answer together (DashScope: of the prompt)."""
    answers_as: str = ""
    """The name in its answers, where that is another one."""
    template: str | None = None
    """Chat template, by file name."""
    opens: bool = False
    """The template opens the thought."""
    parser: str | None = None
    """Reasoning parser: `deepseek_r1`, `qwen3` or none."""
    field: str = "reasoning"
    """Where the parser puts the thought."""
    calls: bool = True
    """Takes tools."""
    stops: bool = True
    """Looks for stop strings."""
    streams_only: bool = False
    keep_alive: bool = False
    """Sends empty lines before an answer."""
    every: int = 0
    """Every so many-th request fails in passing: 429 (openai-limited), 200 with an error
    (openrouter); 0: none."""
    burst: int = 0
    """So many times each distinct request gets 429 before it is answered."""
    retry_after: float = 0.05
    """Seconds that a 429 says to wait; real ones are whole."""
    quota: int | None = None
    """After so many answers: `insufficient_quota`."""
    key: str = ""
    """The key that a request must carry; empty: any, or none."""

    def change(self, **changes: Any) -> "Kind":
        """The kind with some fields, its own or its mind's, set anew."""
        of_mind = {field.name for field in fields(Mind)}
        mind = replace(self.mind, **{key: changes.pop(key) for key in of_mind & set(changes)})
        return replace(self, **{"mind": mind, **changes})


CALLER = Mind(silent=0.5)
QWQ = Mind(native=True, length=120, second=0.3, mentions=0.2)
PARSED = Mind(native=True, length=120, second=0.3, mentions=0.1, endless=0.04)
QWEN = ("Qwen/Qwen2.5-7B-Instruct",)
GPT = ("gpt-4o",)
DATED = "gpt-4o-2024-08-06"

KINDS: Mapping[str, Kind] = {
    "openai": Kind(OpenAI, GPT, CALLER, 128_000, DATED),
    "openai-limited": Kind(OpenAI, GPT, CALLER, 128_000, DATED, every=5),
    "openai-quota": Kind(OpenAI, GPT, CALLER, 128_000, DATED, quota=0),
    "openai-reasoning": Kind(
        OpenAIReasoning, ("o4-mini",), Mind(native=True, length=300, second=1.0), 200_000,
        "o4-mini-2025-04-16",
    ),
    "deepseek": Kind(
        DeepSeek, ("deepseek-v4-pro", "deepseek-v4-flash"),
        Mind(native=True, length=400, second=0.3, empty_json=0.03), 131_072, keep_alive=True,
    ),
    "dashscope": Kind(
        DashScope, ("qwen3-32b",), Mind(native=True, length=200, second=0.5, deviates=0.2), 129_024
    ),
    "dashscope-qwq": Kind(
        DashScope, ("qwq-plus",), Mind(native=True, length=200, second=0.3), 98_304,
        streams_only=True,
    ),
    "openrouter": Kind(OpenRouter, ("qwen/qwen-2.5-72b-instruct",), INSTRUCT, every=7),
    "openrouter-thinking": Kind(
        OpenRouter, ("qwen/qwq-32b",), Mind(native=True, length=150, second=0.3), every=7
    ),
    "vllm-qwen25": Kind(Vllm, QWEN, template="Qwen2.5-7B-Instruct"),
    "vllm-llama3": Kind(
        Vllm, ("meta-llama/Llama-3.1-8B-Instruct",), template="Llama-3.1-8B-Instruct"
    ),
    "vllm-qwq": Kind(Vllm, ("Qwen/QwQ-32B",), QWQ, 40_960, template="QwQ-32B", opens=True),
    "vllm-qwq-parser": Kind(
        Vllm, ("Qwen/QwQ-32B",), PARSED, 40_960, template="QwQ-32B", opens=True,
        parser="deepseek_r1",
    ),
    "vllm-qwq-parser-old": Kind(
        Vllm, ("Qwen/QwQ-32B",), PARSED, 40_960, template="QwQ-32B", opens=True,
        parser="deepseek_r1", field="reasoning_content",
    ),
    "vllm-r1": Kind(
        Vllm, ("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",), QWQ, 131_072,
        template="DeepSeek-R1-Distill-Qwen-32B", opens=True,
    ),
    "qwen3": Kind(Vllm, ("Qwen/Qwen3-8B",), Mind(native=True, empty=True), 40_960,
                  template="Qwen3"),
    "qwen3-thinking": Kind(
        Vllm, ("Qwen/Qwen3-32B",), Mind(native=True, length=150, second=0.7, mentions=0.1), 40_960,
        template="Qwen3",
    ),
    "vllm-gpt-oss": Kind(
        VllmHarmony, ("openai/gpt-oss-20b",), Mind(native=True, length=80, second=1.0), 131_072
    ),
    "sglang": Kind(SGLang, QWEN, template="Qwen2.5-7B-Instruct", field="reasoning_content"),
    "tgi": Kind(Tgi, QWEN),
    "llamacpp": Kind(LlamaCpp, ("qwen2.5-7b-instruct-q4_k_m.gguf",),
                     template="Qwen2.5-7B-Instruct"),
    "chatty": Kind(Lenient, ("chatty",), Mind(deviates=0.5)),
    "chatty-nostop": Kind(Lenient, ("chatty",), Mind(deviates=0.5), stops=False),
}  # fmt: skip
