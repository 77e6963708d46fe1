"""Settings of what the agent searches: a retriever over a corpus, or the web."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from searchtrain.config.section import Section, runtime, setting, wiring
from searchtrain.config.values import (
    AS_WRITTEN,
    Amount,
    Count,
    Endpoint,
    Natural,
    Port,
    Positive,
    Share,
    Text,
    Variable,
)

BENCHMARK_HOSTS = [
    "huggingface.co",
    "hf.co",
    "hf-mirror.com",
    "modelscope.cn",
    "kaggle.com",
    "github.com",
    "raw.githubusercontent.com",
    "github.io",
    "gitlab.com",
    "paperswithcode.com",
    "zenodo.org",
]


class Trouble(Section):
    """What the laptop's own web does, as shares: of the queries with a hit that cannot be read
    (404, 30 MB, slow, redirects in a circle or inside, robots.txt), of the places that are a PDF
    or have moved, of the queries with an answer box, of the searches that fail at first."""

    traps: Share = setting(0.1)
    pdf: Share = setting(0.1)
    moved: Share = setting(0.05)
    answer_box: Share = setting(0.1)
    http_429: Share = setting(0.02)
    http_500: Share = setting(0.02)


class Pages(Section):
    """Reading the pages that the engine names."""

    read: bool = setting(True, "false: only what the engine says of them")
    max_bytes: Count = setting(5_000_000, "of a page, unpacked")
    redirects: Natural = setting(5)
    content_types: list[Annotated[str, Field(pattern=r"^[a-z]+/[a-z0-9.+-]+$")]] = setting(
        ["text/html", "application/xhtml+xml", "text/plain", "application/pdf"]
    )
    robots: bool = setting(True, "obey robots.txt")
    user_agent: Text = setting("SearchTrain/0.1")
    passage_chars: int = setting(
        3000, "shown of a page, around what fits the engine's snippet best", ge=100
    )
    pdf_pages: Count = setting(50)
    allow_networks: list[Annotated[str, Field(pattern=r"^[0-9a-fA-F.:]+/[0-9]+$")]] = setting(
        [], "networks that may be read though they are not public, as 10.1.0.0/16"
    )
    hosts: dict[str, Text] = setting(
        {"atlas.test": "served"},
        "host: address:port that stands for it; `served`: the laptop's web",
    )
    retry_after: Amount = setting(
        24, "hours until a page that failed in passing is asked for again"
    )
    concurrency: Count = runtime(16, "pages in flight")
    per_host: Count = runtime(4, "of them from one site")
    timeout: Positive = runtime(
        20,
        "seconds for a page, redirects included; waiting for a free connection and robots.txt"
        " (which has the same time once for each site) not counted",
    )
    workers: Count = runtime(2, "processes that extract text")


class Web(Section):
    """Web search: a Serper-compatible engine, and the pages that it names."""

    serve: Literal["scripted"] | None = runtime(
        "scripted", "scripted: the laptop world as a web of its own; or null with an endpoint"
    )
    endpoint: Endpoint | None = runtime(None, "for instance https://google.serper.dev/search")
    api_key_env: Variable = runtime(
        "SERPER_API_KEY", "environment variable that holds the engine's key"
    )
    cache: Text = runtime(".cache/web", "answers and pages; a copy of this folder is a frozen web")
    offline: bool = setting(False, "true: only the cache answers")
    country: Annotated[str, Field(pattern=r"^[a-z]{2}$")] | None = setting(
        "us", "Serper's gl, or null"
    )
    language: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]{2})?$")] | None = setting(
        "en", "Serper's hl, or null"
    )
    results: int = setting(10, "asked for each query", ge=1, le=100)
    answer_box: bool = setting(True, "show the engine's own answer, too")
    knowledge_graph: bool = setting(True)
    exclude: list[Text] = setting(
        [],
        "hosts (with their subdomains) and URLs that are never shown nor read; the engine is asked"
        " to leave them out, too",
    )
    benchmark_hosts: list[Text] = setting(
        BENCHMARK_HOSTS,
        "The same for sites that hold the questions and answers of benchmarks; only filtered.",
    )
    price: Amount = runtime(0, "US dollars per 1,000 searches")
    max_dollars: Positive | None = runtime(None, "what one job may spend on them, as of a model")
    concurrency: Count = runtime(8, "searches in flight")
    timeout: Positive = runtime(20, "seconds for one attempt")
    attempts: Count = runtime(5)
    ready_timeout: Positive = runtime(300, "seconds that the server may take to start")
    port: Port | None = runtime(None, "null takes a free one")
    scripted: Trouble = setting(Trouble(), reader="serve")
    pages: Pages = setting(Pages())

    @model_validator(mode="after")
    def _check_limit(self) -> Self:
        if self.max_dollars and not self.price:
            raise ValueError("max_dollars limits nothing without a price: set price, too")
        return self


class Index(Section):
    """How the index is built."""

    engine: Literal["bm25", "dense", "hybrid"] = setting(
        "bm25", "dense: an encoder's vectors; hybrid: both"
    )
    faiss: Text | None = wiring(
        None,
        "engine dense or hybrid: a FAISS index of another's making, as Search-R1's e5_Flat.index,"
        " whose rows are data.corpus's, in place of encoding them; null: encode",
    )
    faiss_parameters: str = setting(
        "",
        "how an approximate one is searched, as `nprobe=64` or `efSearch=128`; empty: as saved",
        reader="serve",
    )
    k1: Annotated[float, Field(gt=0, le=100), AS_WRITTEN] = setting(
        0.9, "Anserini's for passages, as in Search-R1's BM25; so is b"
    )
    b: Share = setting(0.4)
    stopwords: Literal["english", "english_plus"] | list[str] | None = setting(
        "english_plus", "english, english_plus (also pronouns and question words), a list, or null"
    )
    stemmer: str | None = setting("english", "a Snowball language, or null")

    @model_validator(mode="after")
    def _check_faiss(self) -> Self:
        if self.faiss and self.engine == "bm25":
            raise ValueError(f"faiss: {self.faiss} is an index of vectors: set engine to dense")
        return self


class Embedder(Section):
    """The encoder of engines dense and hybrid."""

    model: Text | None = wiring(
        None, "folder of a sentence-transformers or Hugging Face encoder, as e5-base-v2"
    )
    query_prefix: str = setting("query: ", "E5's")
    passage_prefix: str = setting("passage: ")
    max_tokens: int = setting(
        256, "of a query or a passage, prefix included; what is longer is cut", ge=8
    )
    gpu: Natural = runtime(0, "GPUs that encode the passages; 0: the processor")


class Fusion(Section):
    """Engine hybrid: a weighted sum of both scores, each scaled to 0 to 1 over the best `depth`
    passages."""

    depth: Count = setting(100, "passages of each engine that count, or more if more are asked for")
    weight: Share = setting(0.6, "of dense")


class Reranker(Section):
    """A cross-encoder that reads each query with the best passages of the engine, whichever it is,
    and puts them into its own order."""

    model: Text | None = wiring(
        None, "folder of a sentence-transformers cross-encoder, or null for none"
    )
    depth: Count = setting(50, "passages that it reads, or more if more are asked for")
    max_tokens: int = setting(512, "of a query and a passage; what is longer is cut", ge=16)
    gpu: Annotated[int, Field(ge=0, le=1)] = runtime(
        0, "1: a GPU of its own beside retriever.gpu; 0: the processor"
    )


class Retriever(Section):
    """Passages for the agent: a server with Search-R1's /retrieve contract."""

    endpoint: Endpoint | None = runtime(
        None,
        "URL of a running one, as Search-R1's retrieval_server.py; null serves the index below",
    )
    revision: str = setting(
        "",
        "what runs at that endpoint, as `e5-base-v2 over wiki-18, exact`: change it when that"
        " changes, and what was found is stale",
        reader="serve",
    )
    answerable: Share = runtime(
        0.03,
        "Of seed questions asked as they are, the least share whose answer must stand in what an"
        " endpoint finds before a run begins; 0 where none can be found in one search.",
    )
    port: Port | None = runtime(None, "null takes a free one")
    ready_timeout: Positive = runtime(
        300, "seconds until it answers; 21 million vectors take minutes to load"
    )
    gpu: Natural = runtime(0, "GPUs that hold the vectors of a dense index; 0: the processor")
    index: Index = setting(Index(), reader="index")
    embedder: Embedder = setting(Embedder(), reader="index")
    fusion: Fusion = setting(Fusion(), reader="serve")
    reranker: Reranker = setting(Reranker(), reader="serve")

    @model_validator(mode="after")
    def _check_endpoint(self) -> Self:
        if self.endpoint and self.reranker.model:
            raise ValueError(
                "reranker.model is for the workflow's own index, and endpoint names another"
                " retriever; set one of them to null"
            )
        return self
