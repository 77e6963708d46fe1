"""The retriever in the workflow: what an engine needs, and what makes its index stale."""

import json
import re
from pathlib import Path

import pytest
import yaml

from conformance import search_r1
from helpers.checkout import copy_repository
from helpers.encoder import make_cross_encoder, make_encoder
from searchtrain.config import Fusion
from searchtrain.data import schemas
from searchtrain.search.index import open_index

INDEX = "out/results/index"
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,'\""
SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 16,
}


def overlay(folder: Path, retriever, **more):
    """A configuration of its own for the retriever."""
    file = folder / f"{len(list(folder.glob('*.yaml')))}.yaml"
    file.write_text(yaml.safe_dump({"retriever": retriever, **more}))
    return str(file)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    words = [*LETTERS, *(f"##{letter}" for letter in LETTERS)]
    return make_encoder(tmp_path_factory.mktemp("encoder"), words, **SHAPE)


@pytest.fixture(scope="module")
def hybrid(encoder):
    return {"index": {"engine": "hybrid"}, "embedder": {"model": str(encoder)}}


@pytest.mark.parametrize("engine", ["dense", "hybrid"])
def test_every_engine_plans_the_whole_run(checkout, encoder, tmp_path, engine):
    retriever = {"index": {"engine": engine}, "embedder": {"model": str(encoder), "gpu": 1}}
    files = [overlay(tmp_path, {**retriever, "gpu": 2})]
    ended = checkout.run(
        "out/results/test.json", "--dry-run", "--printshellcmds", configfiles=files
    )
    assert ended.returncode == 0, ended.stdout
    lines = ended.stdout.splitlines()
    served = [line for line in lines if "scripts/serve.py --server retriever" in line]
    assert served and all(f'"encoder":"{encoder}"' in line for line in served)
    assert all('"gpus":2' in line for line in served)
    assert all(('"fusion"' in line) == (engine == "hybrid") for line in served)
    (built,) = (line for line in lines if "exec python scripts/index.py" in line)
    assert f"--encoder {encoder} " in built and '"embedder":{"gpu":1' in built


@pytest.mark.parametrize(
    ("embedder", "message"),
    [
        ({}, "retriever.embedder.model: missing; set it to the folder of an encoder"),
        ({"model": "no/such"}, "retriever.embedder.model: no/such: no such file; check the path"),
        ({"prefix": "x"}, "prefix"),
    ],
)
def test_a_dense_index_without_its_encoder_is_refused(checkout, tmp_path, embedder, message):
    files = [overlay(tmp_path, {"index": {"engine": "dense"}, "embedder": embedder})]
    ended = checkout.run(INDEX, "--dry-run", configfiles=files)
    assert ended.returncode != 0 and message in ended.stdout


def test_a_hybrid_index_is_built_once_and_rebuilt_when_its_encoder_changes(
    encoder, hybrid, tmp_path
):
    checkout = copy_repository(tmp_path / "copy")
    world = {"world": {"cities_per_country": 2, "sizes": {"train": 40, "dev": 8, "test": 8}}}
    files = [overlay(tmp_path, hybrid, **world)]
    ended = checkout.run(INDEX, configfiles=files)
    assert ended.returncode == 0, ended.stdout
    results = checkout.path / "out/results"
    assert not (results / ".partial/index").exists()
    index = open_index(
        results / "index", results / "corpus.jsonl", model=encoder, fusion=Fusion(weight=0.0)
    )
    first = json.loads((results / "corpus.jsonl").read_text().splitlines()[0])
    title = first["contents"].split("\n")[0]
    assert any(
        json.loads(index.read_line(place))["id"] == first["id"]
        for place, _ in index.rank(title, 10)
    )

    def plan(**changes):
        retriever = {**hybrid, **changes}
        retriever["embedder"] = {**hybrid["embedder"], **changes.get("embedder", {})}
        again = checkout.run(
            INDEX, "--dry-run", "--quiet", "rules",
            configfiles=[*files, overlay(tmp_path, retriever)],
        )  # fmt: skip
        assert again.returncode == 0, again.stdout
        return set(re.findall(r"^(\w+) +\d+$", again.stdout, re.MULTILINE)) - {"total"}

    assert plan() == set()
    assert set() == plan(fusion={"weight": 0.9}, gpu=1, embedder={"gpu": 1})
    assert plan(embedder={"query_prefix": "Query: "}) == {"index"}
    assert plan(index={"engine": "hybrid", "k1": 1.2}) == {"index"}
    make_encoder(encoder, [*LETTERS, *(f"##{letter}" for letter in LETTERS)], seed=2, **SHAPE)
    assert plan() == {"index"}


def test_a_faiss_index_and_a_reranker_are_part_of_the_run(checkout, encoder, tmp_path):
    cross, source = make_cross_encoder(tmp_path / "cross", LETTERS), tmp_path / "e5_Flat.index"
    source.write_bytes(b"not read by a dry run")
    retriever = {
        "index": {"engine": "dense", "faiss": str(source)},
        "embedder": {"model": str(encoder), "gpu": 8},
        "reranker": {"model": str(cross), "depth": 7, "gpu": 1},
        "gpu": 2,
    }
    files = [overlay(tmp_path, retriever)]
    ended = checkout.run(
        "out/results/test.json", "--dry-run", "--printshellcmds", configfiles=files
    )
    assert ended.returncode == 0, ended.stdout
    lines = ended.stdout.splitlines()
    (built,) = (line for line in lines if "exec python scripts/index.py" in line)
    assert f"--faiss {source} " in built
    served = [line for line in lines if "scripts/serve.py --server retriever" in line]
    assert served and all(f'"reranker":"{cross}"' in line for line in served)
    assert all('"gpus":3' in line and '"depth":7' in line for line in served)
    gone = [overlay(tmp_path, {**retriever, "index": {"engine": "dense", "faiss": "no/such"}})]
    ended = checkout.run(INDEX, "--dry-run", configfiles=gone)
    assert "retriever.index.faiss: no/such: no such file" in ended.stdout


@pytest.mark.build
def test_search_r1s_server_is_used_as_it_is_and_a_wrong_one_refused(tmp_path):
    """A run without a corpus of its own: its passages are at the endpoint alone."""
    checkout = copy_repository(tmp_path / "copy")
    sizes = {"sizes": {"train": 40, "dev": 8, "test": 8}}
    world = {"world": {"cities_per_country": 2, **sizes}, "sample": {"total": 6}}
    made = "out/results/world/passages.jsonl"
    ended = checkout.run(made, configfiles=[overlay(tmp_path, {}, **world)])
    assert ended.returncode == 0, ended.stdout
    corpus = checkout.path / made
    e5 = search_r1.make_e5(tmp_path / "e5", corpus)
    index = search_r1.write_index(corpus, e5, tmp_path / "e5_Flat.index")
    wanted = "out/results/trajectories.parquet"

    def run(url, **data):
        retriever = {"endpoint": url, "answerable": 0}
        return checkout.run(wanted, configfiles=[overlay(tmp_path, retriever, **world, data=data)])

    with search_r1.serve(search_r1.make_app(corpus, e5, index, "shuffled rows")) as url:
        ended = run(url)
    assert ended.returncode != 0 and "does it serve another corpus?" in ended.stdout
    assert not (checkout.path / "out/results/seeds.parquet").exists()
    with search_r1.serve(search_r1.make_app(corpus, e5, index)) as url:
        ended = run(url, corpus=None)
    assert ended.returncode == 0, ended.stdout
    rows = schemas.read_table(checkout.path / wanted, schemas.Trajectories)
    assert rows["searches"].sum() > 0 and set(rows["error"]) == {""}
    assert not (checkout.path / "out/results/corpus.jsonl").exists()
