"""Dense and hybrid search with a small encoder of random weights; the code is a real one's."""

import asyncio
import json
import shutil
import sys

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient

from helpers.encoder import make_encoder
from searchtrain.config import Embedder, Fusion, Index, Retriever
from searchtrain.core.errors import InputError
from searchtrain.search import dense, server, vectors
from searchtrain.search import index as index_module
from searchtrain.search.encoder import Encoder, list_devices
from searchtrain.search.hybrid import fuse
from searchtrain.search.index import build_index, open_index
from searchtrain.search.server import make_app
from searchtrain.search.vectors import VectorSearch, group_rows, load_vectors
from searchtrain.serving.command import build_command
from searchtrain.serving.spec import ServerSpec

WORDS = "springfield is a town in poland its capital warsaw lodz city country of the"
PASSAGES = [
    {"id": "lodz", "contents": '"Lodz"\nLodz is a city in Poland.'},
    {"id": "pl", "contents": '"Poland"\nPoland is a country. Its capital is Warsaw.'},
    {"id": "twin-a", "contents": '"Springfield"\nSpringfield is a town.'},
    {"id": "twin-b", "contents": '"Springfield"\nSpringfield is a town.'},
    {"id": "twin-c", "contents": '"Springfield"\nSpringfield is a town.'},
]
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}
SAME_TEXT = Embedder(query_prefix="", passage_prefix="")
"""Without prefixes a passage is the best answer to itself, even with random weights."""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    letters = [*'abcdefghijklmnopqrstuvwxyz."', *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
    folder = tmp_path_factory.mktemp("encoder")
    return make_encoder(folder, [*WORDS.split(), "query", "passage", ":", *letters], **SMALL)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    path.write_text("".join(json.dumps(passage) + "\n" for passage in PASSAGES))
    return path


@pytest.fixture(scope="module", params=["dense", "hybrid"])
def folder(request, encoder, corpus):
    settings = Index(engine=request.param)
    out = corpus.parent / request.param
    build_index(corpus, out, settings, embedder=SAME_TEXT, model=encoder)
    return corpus.parent / request.param


@pytest.fixture(scope="module")
def index(folder, corpus, encoder):
    return open_index(folder, corpus, model=encoder)


def find(index, query, topk=3):
    return [PASSAGES[place]["id"] for place, _ in index.rank(query, topk)]


# The index.


def test_finds_a_passage_by_its_own_text(index):
    for passage in PASSAGES[:3]:
        assert find(index, passage["contents"], 1) == [passage["id"]]


def test_equal_scores_come_in_corpus_order(index):
    query = PASSAGES[3]["contents"]
    assert find(index, query, 2) == ["twin-a", "twin-b"]
    assert find(index, query, 9)[:3] == ["twin-a", "twin-b", "twin-c"]
    scores = [score for _, score in index.rank(query, 9)]
    assert scores == sorted(scores, reverse=True) and len(scores) == len(PASSAGES)


def test_queries_together_get_the_answers_that_they_get_alone(index):
    queries = [PASSAGES[0]["contents"], " ", "capital of Poland"]
    together = index.rank_all(queries, 4)
    assert together[1] == []
    for query, ranking in zip(queries, together, strict=True):
        alone = index.rank(query, 4)
        assert [place for place, _ in ranking] == [place for place, _ in alone]
        assert [s for _, s in ranking] == pytest.approx([s for _, s in alone], abs=1e-4)


def test_the_index_is_a_search_in_this_process(index):
    (found,) = asyncio.run(index.search([PASSAGES[1]["contents"]], 1))
    assert found[0].pop("score") > 0
    assert found == [PASSAGES[1]]


def test_the_server_keeps_search_r1s_contract(index):
    http = TestClient(make_app(index))
    assert http.get("/health").json() == {"status": "ok", "passages": len(PASSAGES)}
    body = {"queries": [PASSAGES[1]["contents"], ""], "topk": 1}
    assert http.post("/retrieve", json=body).json() == {"result": [[PASSAGES[1]], []]}
    scored = http.post("/retrieve", json={**body, "return_scores": True}).json()
    assert scored["result"][0][0]["document"] == PASSAGES[1]
    assert scored["result"][0][0]["score"] > 0
    assert http.post("/retrieve", json={"queries": []}).json() == {"result": []}
    assert len(http.post("/retrieve", json={"queries": ["Poland"]}).json()["result"][0]) == 3


def test_the_supervisor_starts_it_with_its_encoder(folder, corpus, encoder, monkeypatch):
    args = {"encoder": str(encoder), "gpus": 0, "fusion": {"depth": 2, "weight": 0.5}}
    spec = ServerSpec("retriever", index=str(folder), corpus=str(corpus), args=args)
    started = []
    monkeypatch.setattr(sys, "argv", build_command(spec, 8001)[2:])
    monkeypatch.setattr(server.uvicorn, "run", lambda *given, **more: started.append((given, more)))
    server.main()
    (((app,), options),) = started
    assert (options["host"], options["port"]) == ("127.0.0.1", 8001)
    body = {"queries": [PASSAGES[1]["contents"]], "topk": 1}
    assert TestClient(app).post("/retrieve", json=body).json() == {"result": [[PASSAGES[1]]]}


def test_hybrid_weighs_both(corpus, encoder, tmp_path):
    folder = tmp_path / "hybrid"
    build_index(corpus, folder, Index(engine="hybrid"), model=encoder)
    query = "the city of Lodz in Poland"
    lexical = open_index(folder, corpus, model=encoder, fusion=Fusion(weight=0.0))
    alone = open_index(folder, corpus, model=encoder, fusion=Fusion(weight=1.0))
    assert [place for place, score in lexical.rank(query, 9) if score > 0] == [0]
    assert [place for place, _ in lexical._bm25.rank(query, 9)] == [0, 1]
    assert [p for p, _ in alone.rank(query, 9)] == [p for p, _ in alone._dense.rank(query, 9)]


def test_fusion_scales_and_adds():
    lexical, dense_ = [(4, 9.0), (2, 5.0), (7, 1.0)], [(2, 0.9), (5, 0.8), (4, 0.5)]
    fused = dict(fuse(lexical, dense_, 0.6))
    assert fused == pytest.approx({4: 0.4, 2: 0.2 + 0.6, 7: 0.0, 5: 0.6 * 0.75})
    assert [place for place, _ in fuse(lexical, dense_, 0.6)] == [2, 5, 4, 7]
    assert fuse([(3, 2.0), (8, 2.0)], [], 0.5) == [(3, 0.5), (8, 0.5)]
    assert fuse([], [], 0.5) == []


# What does not belong together.


def test_refuses_another_corpus_encoder_or_format(folder, corpus, encoder, tmp_path, monkeypatch):
    other = tmp_path / "corpus.jsonl"
    other.write_bytes(corpus.read_bytes().replace(b"Warsaw", b"Krakow"))
    with pytest.raises(InputError, match=r"built from another corpus .* --forcerun index"):
        open_index(folder, other, model=encoder)
    stranger = make_encoder(tmp_path / "stranger", WORDS.split(), seed=2, **SMALL)
    with pytest.raises(InputError, match=r"built with another encoder than .* --forcerun index"):
        open_index(folder, corpus, model=stranger)
    with pytest.raises(InputError, match=r"retriever\.embedder\.model: missing; set it to"):
        open_index(folder, corpus)
    monkeypatch.setattr(dense.DenseIndex, "VERSION", "0")
    with pytest.raises(InputError, match="built with version '1', this is '0'; rebuild it"):
        open_index(folder, corpus, model=encoder)


def test_refuses_an_encoder_that_has_come_to_encode_differently(corpus, encoder, tmp_path):
    """As after an update of a library: the files are the same, the vectors are not."""
    folder = tmp_path / "dense"
    build_index(corpus, folder, Index(engine="dense"), model=encoder)
    file = next(folder.glob("vectors-*.npy"))
    np.save(file, -np.load(file))
    with pytest.raises(InputError, match=r"gives the first passage another vector now .* install"):
        open_index(folder, corpus, model=encoder)
    np.save(file, np.load(file)[:-1])
    with pytest.raises(InputError, match="holds 4 vectors of 5 passages; rebuild it"):
        open_index(folder, corpus, model=encoder)


def test_the_same_corpus_is_known_by_its_bytes(corpus, encoder, folder, tmp_path):
    copied = tmp_path / "copy.jsonl"
    shutil.copyfile(corpus, copied)
    assert len(open_index(folder, copied, model=encoder)) == len(PASSAGES)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", r"no encoder \(config\.json is missing\); set retriever\.embedder\.model"),
        ("tokenizer.json", r"no tokenizer \(tokenizer\.json or vocab\.txt\) in this folder; copy"),
        ("model.safetensors", "no model weights"),
    ],
)
def test_an_encoder_without_a_part_says_so(corpus, encoder, tmp_path, missing, message):
    shutil.copytree(encoder, tmp_path / "encoder")
    (tmp_path / "encoder" / missing).unlink()
    with pytest.raises(InputError, match=message):
        build_index(corpus, tmp_path / "out", Index(engine="dense"), model=tmp_path / "encoder")
    assert not (tmp_path / "out").exists()


def test_a_broken_encoder_says_so(corpus, encoder, tmp_path):
    shutil.copytree(encoder, tmp_path / "encoder")
    (tmp_path / "encoder/config.json").write_text('{"model_type": "no such thing"}')
    with pytest.raises(InputError, match="no encoder that sentence-transformers can load"):
        Encoder(tmp_path / "encoder", 256)


@pytest.mark.skipif(torch.cuda.device_count() > 8, reason="has as many")
def test_fewer_gpus_than_asked_for_is_an_error(corpus, encoder, tmp_path):
    with pytest.raises(InputError, match=r"9 GPUs are asked for and \d are there; lower retriever"):
        list_devices(9)
    with pytest.raises(InputError, match="9 GPUs are asked for"):
        settings = Index(engine="dense")
        build_index(corpus, tmp_path / "out", settings, model=encoder, gpus=9)
    assert not (tmp_path / "out").exists()


# Building.


@pytest.fixture
def counted(monkeypatch):
    """Every text that is encoded as a passage, two in a batch."""
    texts, encode = [], Encoder.encode

    def note(self, batch, prefix):
        texts.extend(batch)
        return encode(self, batch, prefix)

    monkeypatch.setattr(dense, "SHARD", 2)
    monkeypatch.setattr(Encoder, "encode", note)
    return texts


def test_an_interrupted_build_goes_on(corpus, encoder, tmp_path, counted, monkeypatch):
    settings = Index(engine="dense")
    build_index(corpus, tmp_path / "whole", settings, embedder=SAME_TEXT, model=encoder)
    partial, out = tmp_path / ".partial/index", tmp_path / "index"
    save = np.save

    def break_at_second(file, array):
        if "0000000002" in getattr(file, "name", ""):
            raise KeyboardInterrupt
        save(file, array)

    monkeypatch.setattr(dense.np, "save", break_at_second)
    with pytest.raises(KeyboardInterrupt):
        build_index(corpus, out, settings, embedder=SAME_TEXT, partial=partial, model=encoder)
    assert not out.exists() and [f.name for f in dense.list_shards(partial)] == [
        "vectors-0000000000.npy"
    ]
    monkeypatch.setattr(dense.np, "save", save)
    counted.clear()
    build_index(corpus, out, settings, embedder=SAME_TEXT, partial=partial, model=encoder)
    assert counted == [passage["contents"] for passage in PASSAGES[2:]]
    assert not partial.exists()
    names = {file.name for file in out.iterdir()}
    assert names == {file.name for file in (tmp_path / "whole").iterdir()}
    for name in names:
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_hybrid_build_that_fails_at_bm25_keeps_its_vectors(
    corpus, encoder, tmp_path, counted, monkeypatch
):
    def fail(*args):
        raise OSError("no space left")

    settings, partial = Index(engine="hybrid"), tmp_path / "partial"
    build_bm25 = index_module.build_bm25
    monkeypatch.setattr(index_module, "build_bm25", fail)
    with pytest.raises(OSError, match="no space left"):
        build_index(corpus, tmp_path / "index", settings, partial=partial, model=encoder)
    assert [path.name for path in tmp_path.iterdir()] == ["partial"]
    monkeypatch.setattr(index_module, "build_bm25", build_bm25)
    counted.clear()
    build_index(corpus, tmp_path / "index", settings, partial=partial, model=encoder)
    assert counted == []
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_vectors_of_another_plan_are_not_gone_on_with(corpus, encoder, tmp_path, counted):
    partial = tmp_path / "partial"
    dense.prepare_partial(partial, {"other": "plan"})
    np.save(partial / "vectors-0000000000.npy", np.ones((2, 32), dtype=np.float16))
    settings = Index(engine="dense")
    build_index(corpus, tmp_path / "index", settings, partial=partial, model=encoder)
    assert counted == [passage["contents"] for passage in PASSAGES]


def test_a_failed_build_leaves_the_last_index(corpus, encoder, tmp_path):
    out = tmp_path / "index"
    build_index(corpus, out, Index(engine="dense"), model=encoder)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    bad = tmp_path / "bad.jsonl"
    bad.write_text(corpus.read_text() + "{}\n")
    with pytest.raises(InputError, match="line 6: id: found nothing"):
        build_index(bad, out, Index(engine="dense"), model=encoder)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embedder": {"max_tokens": 4}}, r"embedder\.max_tokens: 4 is not allowed; .* at least 8"),
        ({"embedder": {"prefix": ""}}, r"unknown key retriever\.embedder\.prefix"),
        ({"fusion": {"weight": 1.5}}, r"retriever\.fusion\.weight: 1\.5 is not allowed"),
        (
            {"fusion": {"wait": 1.5}},
            r"unknown key retriever\.fusion\.wait; known here: depth, weig",
        ),
    ],
)
def test_refuses_a_bad_setting(settings, message):
    with pytest.raises(InputError, match=message):
        Retriever.parse(settings, "retriever")


# The encoder.


def test_prefixes_count_and_vectors_have_length_one(encoder):
    texts = ["Poland", "Springfield is a town"]
    encode = Encoder(encoder, 256).encode
    plain, prefixed = encode(texts), encode(texts, "query: ")
    written = encode([f"query: {text}" for text in texts])
    assert np.allclose(np.linalg.norm(plain, axis=1), 1, atol=1e-5)
    assert np.allclose(prefixed, written, atol=1e-5) and not np.allclose(plain, prefixed, atol=0.01)


def test_what_is_too_long_is_cut(encoder):
    short, long = "town " * 6, "town " * 6 + "poland " * 50
    cut = Encoder(encoder, 8).encode([short, long])
    assert np.allclose(cut[0], cut[1], atol=1e-5)
    whole = Encoder(encoder, 256).encode([short, long])
    assert not np.allclose(whole[0], whole[1], atol=0.01)


def test_pooling_is_the_mean_unless_the_folder_says_otherwise(encoder):
    """E5's: the mean over a text's tokens, padding left out, by hand."""
    from transformers import AutoModel, AutoTokenizer

    texts = ["Poland", "Springfield is a town in Poland"]
    tokens = AutoTokenizer.from_pretrained(encoder)(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(encoder)(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(-1)
    mean = (hidden * mask).sum(1) / mask.sum(1)
    expected = torch.nn.functional.normalize(mean, dim=1).numpy()
    assert np.allclose(Encoder(encoder, 256).encode(texts), expected, atol=1e-5)


@pytest.mark.build
def test_processes_of_their_own_encode_the_same(encoder):
    texts = [passage["contents"] for passage in PASSAGES] * 3
    alone = Encoder(encoder, 64).encode(texts, "passage: ")
    with Encoder(encoder, 64).spread(["cpu"]) as spread:
        assert np.allclose(spread.encode(texts, "passage: "), alone, atol=1e-5)


# The search over vectors.


def make_vectors(rows, width=64, seed=1):
    drawn = np.random.default_rng(seed).standard_normal((rows, width), dtype=np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def rank_by_hand(stored, queries, topk):
    """Single precision over all, equal scores in order."""
    exact = np.einsum("qd,pd->qp", queries, stored.astype(np.float32), optimize=False)
    return np.argsort(-exact, axis=1, kind="stable")[:, :topk]


@pytest.mark.parametrize("topk", [1, 3, 100, 5000])
def test_search_is_that_of_single_precision(monkeypatch, topk):
    monkeypatch.setattr(vectors, "QUERIES", 7)
    stored, queries = make_vectors(3000).astype(np.float16), make_vectors(20, seed=2)
    blocks = [torch.from_numpy(part) for part in np.split(stored, [1000, 1001, 2500])]
    places, scores = VectorSearch(blocks).find(queries, topk)
    assert places.shape == scores.shape == (20, min(topk, 3000))
    assert np.array_equal(places, rank_by_hand(stored, queries, topk))


def test_near_and_equal_vectors_beyond_the_first_candidates_are_found():
    """Half precision cannot tell these apart: single precision and the order must."""
    base = make_vectors(1)
    noise = make_vectors(2000, seed=3)
    near = base + 2e-3 * noise
    near[::3] = near[0]
    stored = (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float16)
    for topk in (1, 5, 80):
        places, scores = VectorSearch([torch.from_numpy(stored)]).find(base, topk)
        assert np.array_equal(places, rank_by_hand(stored, base, topk))
        assert np.all(np.diff(scores) <= 0)


def test_no_queries_have_no_results():
    search = VectorSearch([torch.zeros((3, 8), dtype=torch.float16)])
    places, scores = search.find(np.zeros((0, 8), dtype=np.float32), 2)
    assert places.shape == scores.shape == (0, 2)


def test_files_are_blocks_in_order(tmp_path):
    stored = make_vectors(10).astype(np.float16)
    files = []
    for start in range(0, 10, 3):
        files.append(tmp_path / f"vectors-{start:010d}.npy")
        np.save(files[-1], stored[start : start + 3])
    search = load_vectors(dense.list_shards(tmp_path), ["cpu"])
    assert len(search) == 10
    assert search.find(stored[[7]].astype(np.float32), 1)[0].tolist() == [[7]]
    groups = group_rows([np.load(file) for file in files], 4)
    assert [[len(array) for array in group] for group in groups] == [[3, 3], [3, 1]]
