"""A retriever such as Search-R1's: used as it is, and refused where it is not right."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from conformance import search_r1
from helpers.places import PLACES, write_places
from searchtrain.config import read_config
from searchtrain.core.errors import ServiceError
from searchtrain.report import doctor
from searchtrain.search.retriever import RetrieverClient

PROMPTS = Path(__file__).parents[2] / "config/prompts"


@dataclass(frozen=True)
class Given:
    """What a team has: passages, an encoder, an index over them, and seed questions."""

    corpus: Path
    encoder: Path
    index: Path
    train: Path

    def app(self, fault=""):
        return search_r1.make_app(self.corpus, self.encoder, self.index, fault)

    def config(self, tmp_path, **data):
        files = {"corpus": str(self.corpus), "train": str(self.train), **data}
        elsewhere = {"endpoint": "http://127.0.0.1:9"}
        return read_config(
            {"data": files, "retriever": elsewhere, "cache": str(tmp_path / "cache")}
        )

    def examine(self, url, config):
        [finding] = doctor.examine(config, [], {"retriever": url}, PROMPTS)
        return finding


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search_r1")
    corpus = write_places(folder / "corpus.jsonl")
    encoder = search_r1.make_e5(folder / "encoder", corpus)
    index = search_r1.write_index(corpus, encoder, folder / "e5_Flat.index")
    train = folder / "train.json"
    rows = [
        {"id": str(n), "question": f"What is the river of {place.name}?",
         "golden_answers": [place.river]}
        for n, place in enumerate(PLACES)
    ]  # fmt: skip
    train.write_text(json.dumps(rows))
    return Given(corpus, encoder, index, train)


def test_the_server_is_as_search_r1s_is(given):
    """What is known of the real one: search_augmented_task.md, section 4, and its source."""
    http = TestClient(given.app(), raise_server_exceptions=False)
    first = search_r1.read_rows(given.corpus)[0]
    ask = {"queries": [first["contents"]], "topk": 2, "return_scores": True, "more": 1}
    (hits,) = http.post("/retrieve", json=ask).json()["result"]
    assert hits[0]["document"] == first and len(hits) == 2 and hits[0]["score"] > hits[1]["score"]
    assert len(http.post("/retrieve", json={**ask, "topk": None}).json()["result"][0]) == 3
    assert len(http.post("/retrieve", json={**ask, "topk": 0}).json()["result"][0]) == 3
    unscored = {**ask, "return_scores": False}
    assert http.post("/retrieve", json=unscored).status_code == 500
    two = http.post("/retrieve", json={**unscored, "queries": ["a", "b"]}).json()["result"]
    assert len(two) == 2 and set(two[0]) == {"id", "contents"}
    assert http.post("/retrieve", json={"topk": 3}).status_code == 422
    assert http.get("/health").status_code == 404


def test_the_client_uses_it_as_it_is(given):
    rows = search_r1.read_rows(given.corpus)

    async def ask(url):
        client = RetrieverClient(url, attempts=1)
        try:
            return await client.search([row["contents"] for row in rows[:5]], 3)
        finally:
            await client.close()

    with search_r1.serve(given.app()) as url:
        found = asyncio.run(ask(url))
    assert [hits[0]["contents"] for hits in found] == [row["contents"] for row in rows[:5]]
    assert all(hit["id"] and len(hits) == 3 for hits in found for hit in hits)


def test_the_right_one_is_let_pass(given, tmp_path):
    with search_r1.serve(given.app()) as url:
        known = given.examine(url, given.config(tmp_path))
        blind = given.examine(url, given.config(tmp_path, corpus=None))
    assert known.state == "works", known.note
    assert "asked for 16 passages of data.corpus" in known.note and "seed questions" in known.note
    assert blind.state == "works" and "of its own answers" in blind.note, blind.note


@pytest.mark.parametrize(
    ("fault", "blind", "said"),
    [
        ("shuffled rows", True, "does it serve another corpus?"),
        ("shuffled rows", False, "does it serve another corpus?"),
        ("shuffled ids", False, "another edition of the corpus"),
        ("constant", True, "get the same passages"),
        ("constant", False, "get the same passages"),
        ("empty", True, "it finds nothing"),
        ("empty", False, "it finds nothing"),
        ("random order", False, "finds something else the second time"),
        ("mixed", False, "in no order"),
        ("mixed", True, "in no order"),
        ("html", False, "which is not JSON"),
        ("strings", False, "without contents"),
    ],
)
def test_a_wrong_one_is_refused_with_what_came_of_it(given, tmp_path, fault, blind, said):
    config = given.config(tmp_path, **({"corpus": None} if blind else {}))
    with search_r1.serve(given.app(fault)) as url:
        finding = given.examine(url, config)
    assert finding.state == "refused" and said in finding.note, finding.note
    assert "endpoint" in finding.note
    with pytest.raises(ServiceError, match="nothing else is sent"):
        doctor.check_findings([finding])


def test_another_corpus_than_the_named_one_is_refused(given, tmp_path):
    other = tmp_path / "other.jsonl"
    rows = [
        {**row, "contents": row["contents"].replace("river", "brook").replace("town", "hamlet")}
        for row in search_r1.read_rows(given.corpus)
    ]
    other.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with search_r1.serve(given.app()) as url:
        finding = given.examine(url, given.config(tmp_path, corpus=str(other)))
    assert finding.state == "refused" and "that data.corpus has" in finding.note
    assert "its passage" in finding.note, "the passage of the same id is told"


def test_questions_that_its_passages_do_not_answer_are_told(given, tmp_path):
    rows = json.loads(given.train.read_text())
    strange = tmp_path / "train.json"
    strange.write_text(json.dumps([{**row, "golden_answers": ["Quito"]} for row in rows]))
    config = given.config(tmp_path, train=str(strange))
    with search_r1.serve(given.app()) as url:
        finding = given.examine(url, config)
        lenient = config.model_copy(
            update={"retriever": config.retriever.model_copy(update={"answerable": 0.0})}
        )
        allowed = given.examine(url, lenient)
    assert finding.state == "refused" and "(Quito)" in finding.note
    assert "lower retriever.answerable" in finding.note
    assert allowed.state == "works"


def test_nobody_there_is_told(given, tmp_path):
    with search_r1.serve(given.app()) as url:
        pass
    finding = given.examine("http://127.0.0.1:9", given.config(tmp_path))
    assert url and finding.state == "refused" and "check that the retriever runs" in finding.note
