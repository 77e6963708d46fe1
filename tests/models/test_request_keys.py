"""Keys of the request cache: an answer that was paid for yesterday is found today.

`request_keys.json` was computed by the code before requests, purchases and the asking of JSON
objects got modules of their own. A difference here has every answer of every user paid for again.
"""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from searchtrain.agent import loop
from searchtrain.agent.refiner import Refiner
from searchtrain.config import Pages as PageSettings
from searchtrain.config import Tag, Trees, Verify, Web
from searchtrain.config.limits import Limits
from searchtrain.core.errors import PageError, SearchError
from searchtrain.data import schemas
from searchtrain.models.asker import Asker
from searchtrain.models.batch import ask_each
from searchtrain.models.client import ModelClient
from searchtrain.models.role import Role
from searchtrain.questions.tag_form import TAG_SCHEMA
from searchtrain.questions.tagging import parse_tag
from searchtrain.search.pages import PageReader
from searchtrain.search.web import WebSearch
from searchtrain.trees import growth, verification, writing

KEYS = json.loads((Path(__file__).parent / "request_keys.json").read_text())["keys"]
NOWHERE = "http://127.0.0.1:9"
PASSAGE = {"id": "7", "contents": '"Oslo"\nOslo is a city in Norway.', "score": 1.0}
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Où est Tromsø?"},
]
STOP = ("</search>", "</answer>")
TAG = '{"domain": "cities", "key_points": ["river", "bridge"]}'
SEARCH = "<think>I look.</think>\n<search>Oslo</search>"
NODES = [
    {"id": "A", "parent": "", "entity": "Oslo", "page": "oslo", "claim": ""},
    {"id": "B", "parent": "A", "entity": "Norway", "page": "norway", "claim": "A is a city in B."},
]


class OldCache:
    """A cache as it was left: answers come in order, and keys are written down."""

    def __init__(self, *texts):
        self.texts = list(texts)
        self.keys = []

    def get(self, key, since=0.0):
        self.note(key)
        if self.texts:
            counts = {"prompt_tokens": 1, "completion_tokens": 1}
            return {"text": self.texts.pop(0), "finish_reason": "stop", **counts}
        return None

    def put(self, key, value, *, replace=False):
        self.note(key)

    def note(self, key):
        if key not in self.keys:
            self.keys.append(key)


class Library:
    async def search(self, queries, topk, exclude=()):
        return [[PASSAGE] for _ in queries]


class Pages:
    def read(self, key):
        return SimpleNamespace(title=key.title(), text=f"text of {key}", aliases=())

    __getitem__ = read

    def __contains__(self, key):
        return True


def complete(**options):
    return lambda client: client.complete(MESSAGES, seed=3, **options)


async def tag(client):
    asker = Asker(client, "Tag.", TAG_SCHEMA, repairs=1)
    settings = Tag(seed=5, max_failed_share=0)
    await ask_each(["Where is Oslo?"], asker, parse_tag, settings, "tag")


async def refine(client):
    refiner = Refiner(client, "Refine.", seed=2, max_document_chars=20, max_failed_share=1)
    await refiner.refine("Where is Oslo?", "Oslo", [PASSAGE], 500)


async def roll_out(client):
    attempt = loop.Attempt("q1", "Where is Oslo?", ("Norway",), "test", (), 0, 11)
    harness = loop.Harness("System.", "d", Limits(max_searches=1, force_answer=True))
    row, _ = await loop.rollout(attempt, loop.Policy(client, harness), Library())
    assert row["stop_reason"] == "forced_answer"


async def plan(client):
    asker = Asker(client, "Plan.", growth.PLAN_SCHEMA, 100)
    await asker.ask({"tree": None, "faults": ["é"]}, dict, seed=7)


async def write(client):
    tree = {
        "id": "tree-oslo", "status": "done", "fault": "", "page": "oslo", "answer": "Oslo",
        "aliases": [], "vertices": 2, "levels": [["oslo"]], "steps": 1, "cost": 0.0,
        "nodes": [{**node, "kind": "city", "candidates": 1} for node in NODES],
    }  # fmt: skip
    trees = pl.DataFrame([tree], schema=schemas.empty_table(schemas.Trees).schema)
    writer = Asker(client, "Write.", writing.QUESTION_SCHEMA, 200)
    await writing.write_questions(trees, writer, Pages(), Trees())


async def verify(client):
    panel = verification.Panel(client, "Solve.", client, "Verify.", Library())
    row = {
        "id": "tree-oslo", "question": "Which city is it?", "answer": "Oslo", "aliases": [],
        "nodes": NODES,
    }  # fmt: skip
    settings = Verify(distractors=1)
    await verification._check_question(row, Pages(), panel, settings)


@pytest.mark.parametrize(
    ("name", "dialect", "texts", "work"),
    [
        ("plain", "openai", ["x"], complete()),
        ("stop_openai", "openai", ["x"], complete(stop=STOP)),
        ("stop_vllm", "vllm", ["x"], complete(stop=STOP)),
        ("prefill", "vllm", ["x"], complete(stop=STOP[1:], prefill="<answer>")),
        ("schema", "openai", ["x"], complete(schema=TAG_SCHEMA)),
        ("repair_prose", "openai", ["It is about cities.", TAG], tag),
        ("repair_schema", "openai", ['{"domain": "cities"}', TAG], tag),
        ("repair_parse", "openai", [TAG.replace("cities", ""), TAG], tag),
        (
            "refine",
            "openai",
            ['{"findings": [{"source": 2, "text": "x"}]}', '{"findings": []}'],
            refine,
        ),
        ("rollout", "vllm", ["Oslo.", SEARCH, SEARCH, "Norway</answer>"], roll_out),
        ("plan", "openai", ['{"reason": "", "action": "quit", "target": ""}'], plan),
        (
            "write",
            "openai",
            ["y" * 300, '{"question": "Is it Oslo?"}', '{"question": "Which city is it?"}'],
            write,
        ),
        ("verify", "openai", ["prose"] * 4, verify),
    ],
)
def test_a_model_is_not_asked_again(name, dialect, texts, work):
    cache = OldCache(*texts)

    async def go():
        sampling = {"temperature": 0.7, "max_tokens": 64}
        # The dialect says what vLLM would else take from the model's generation_config.json. Who
        # wants the answers from before leaves that out.
        role = Role("teacher", "m", "r1", sampling, dialect, {"always": {}}, attempts=1)
        client = ModelClient(role, NOWHERE, cache)
        await work(client)
        await client.close()
        return client.usage

    usage = asyncio.run(go())
    # The two filters of verification ask at the same time.
    assert (sorted(cache.keys) if name == "verify" else cache.keys) == KEYS[name]
    assert usage["cached"] == len(texts) == len(cache.keys) and not usage["requests"]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("web_search", {}),
        ("web_search_no_locale", {"country": None, "language": None, "results": 5}),
    ],
)
def test_a_search_engine_is_not_asked_again(name, settings):
    cache = OldCache()
    offline = {"offline": True, "api_key_env": "", "exclude": ["answers.example"]}

    async def go():
        search = WebSearch(NOWHERE, Web(**{**offline, **settings}), cache, {})
        with pytest.raises(SearchError, match="not in the cache"):
            await search.search(["Où est Tromsø?"], 3, ["other.example"])
        await search.close()

    asyncio.run(go())
    assert cache.keys == KEYS[name]


@pytest.mark.parametrize(
    ("name", "url", "kind", "options"),
    [
        ("page_and_failure", "http://Site.test/a?b=1#c", "offline", {"offline": True}),
        ("robots", "http://site.test/a", "robots", {"hosts": {"site.test": "127.0.0.1:9"}}),
    ],
)
def test_a_page_is_not_fetched_again(name, url, kind, options):
    cache = OldCache()
    networks = [] if "offline" in options else ["127.0.0.0/8"]

    async def go():
        reader = PageReader(PageSettings(allow_networks=networks, hosts={}), cache, **options)
        with pytest.raises(PageError) as caught:
            await reader.read(url)
        await reader.close()
        return caught.value.kind

    assert asyncio.run(go()) == kind
    assert cache.keys == KEYS[name]
