"""Question and corpus files as FlashRAG and Search-R1 publish them, named as they are.

The Parquet files are written by the `datasets` library, which is what both projects use.
"""

import gzip
import json
import logging

import datasets
import pytest

from helpers.scripts import run_script
from searchtrain.core.errors import InputError
from searchtrain.data.question_file import load_answers, load_ids, load_questions, read_questions
from searchtrain.search.corpus import build_corpus

FLASHRAG = [
    {"id": "test_0", "question": "who wrote emma", "golden_answers": ["Jane Austen"],
     "metadata": {"type": "bridge", "supporting_facts": {"title": ["Emma"], "sent_id": [0]}}},
    {"id": "test_1", "question": "capital of norway", "golden_answers": ["Oslo", "Kristiania"],
     "metadata": {"type": "bridge", "supporting_facts": {"title": [], "sent_id": []}}},
]  # fmt: skip
TOLD = "Think first. Then search or write <answer> Beijing </answer>. "


def process(row, number, source="nq", told=TOLD, keep=True):
    """A row as Search-R1 prepares it of one of FlashRAG's; `keep` its columns, as its maps do."""
    return {
        **(row if keep else {}),
        "data_source": source,
        "prompt": [{"role": "user", "content": f"{told}Question: {row['question']}?\n"}],
        "ability": "fact-reasoning",
        "reward_model": {"style": "rule", "ground_truth": {"target": row["golden_answers"]}},
        "extra_info": {"split": "test", "index": number},
    }


def write_parquet(path, rows):
    datasets.Dataset.from_list(rows).to_parquet(str(path))
    return path


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("write", [write_parquet, write_lines])
def test_flashrag_questions(tmp_path, write, caplog):
    path = write(tmp_path / "nq.data", FLASHRAG)
    frame = load_questions(path)
    assert frame["id"].to_list() == ["test_0", "test_1"] == load_ids(path)
    assert frame["golden_answers"].to_list() == [["Jane Austen"], ["Oslo", "Kristiania"]]
    assert frame["source"].unique().to_list() == ["nq"]
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_search_r1_questions_have_ids_of_their_own_and_no_instructions(tmp_path, caplog):
    """Of two data sets in one file, whose ids are alike; in whatever order they stand."""
    rows = [process(row, n, source) for source in ("nq", "hotpotqa") for n, row in
            enumerate(FLASHRAG)]  # fmt: skip
    path = write_parquet(tmp_path / "test.parquet", rows)
    frame, report = read_questions(path, strict=True)
    assert report["usable"] == 4 and not report["blemishes"]
    assert frame["id"].to_list() == load_ids(path)
    assert frame["id"].to_list()[::2] == ["nq/test_0", "hotpotqa/test_0"]
    assert frame["source"].to_list() == ["nq", "nq", "hotpotqa", "hotpotqa"]
    assert frame["question"].to_list()[:2] == ["who wrote emma", "capital of norway"]
    assert load_answers(path)["golden_answers"].to_list()[1] == ["Oslo", "Kristiania"]
    turned = load_questions(write_parquet(tmp_path / "turned.parquet", rows[::-1]))
    assert turned["id"].to_list() == frame["id"].to_list()[::-1]


@pytest.mark.parametrize(
    ("row", "question"),
    [
        (process(FLASHRAG[0], 7, keep=False), "who wrote emma?"),
        # A question with the mark in it; instructions of another kind, with examples.
        (process({**FLASHRAG[0], "question": "Question: who"}, 7, keep=False), "Question: who?"),
        (process(FLASHRAG[0], 7, told="Question: x? Answer: y. ", keep=False), "who wrote emma?"),
        (
            process(FLASHRAG[0], 7, keep=False)
            | {
                "prompt": [{"role": "system", "content": TOLD}, {"role": "user", "content": "who?"}]
            },
            "who?",
        ),
        (
            process(FLASHRAG[0], 7, keep=False)
            | {"extra_info": {"split": "test", "index": 7, "question": "who wrote emma"}},
            "who wrote emma",
        ),
        (
            process(FLASHRAG[0], 7, keep=False)
            | {"prompt": [{"role": "user", "content": "Answer me: who?"}]},
            None,
        ),
    ],
)
def test_the_question_is_taken_out_of_search_r1s_prompt(tmp_path, row, question):
    path = write_parquet(tmp_path / "train.parquet", [row])
    if question is None:
        with pytest.raises(InputError, match=r"row 1 \(id 'nq/test_7'\)"):
            load_questions(path)
        return
    frame = load_questions(path)
    assert frame.select("id", "question").rows() == [("nq/test_7", question)]
    assert frame["golden_answers"].to_list() == [["Jane Austen"]]


def test_wrong_rows_of_parquet_are_treated_as_those_of_json(tmp_path):
    rows = [*FLASHRAG, {**FLASHRAG[0], "id": "b", "question": " "}, {**FLASHRAG[0], "id": None}]
    frame, report = read_questions(write_parquet(tmp_path / "dev.parquet", rows))
    assert frame["id"].to_list() == ["test_0", "test_1", "row-4"]
    assert {kind: part["rows"] for kind, part in report["blemishes"].items()} == {
        "no_question": ["row 3 (id 'b')"],
        "no_id": ["row 4"],
    }
    torn = tmp_path / "torn.parquet"
    torn.write_bytes((tmp_path / "dev.parquet").read_bytes()[:300])
    with pytest.raises(InputError, match=r"torn\.parquet: not a whole Parquet file"):
        load_questions(torn)


def test_benchmarks_of_both(tmp_path):
    files = [write_lines(tmp_path / "bamboogle.jsonl", FLASHRAG)]
    files.append(write_parquet(tmp_path / "nq.parquet", [process(FLASHRAG[1], 1)]))
    out = tmp_path / "benchmarks.json"
    run_script("benchmarks", "--names", "bamboogle", "nq", "--files", *files, "--out", out,
               "--report", tmp_path / "report.json")  # fmt: skip
    rows = json.loads(out.read_text())
    assert [row["id"] for row in rows] == ["bamboogle/test_0", "bamboogle/test_1", "nq/nq/test_1"]
    assert rows[2]["question"] == "capital of norway"


def test_corpora_of_both(tmp_path):
    """wiki-18 packed; FlashRAG's own, whose titles have no quotation marks and whose ids may be
    numbers; and Parquet of either, or of title and text."""
    texts = [("Oslo", "Oslo is in Norway.\nIt is old."), ('"Heroes" (album)', "By David Bowie.")]
    quoted = [{"id": str(n), "contents": f'"{title}"\n{text}'} for n, (title, text) in
              enumerate(texts)]  # fmt: skip
    bare = [{"id": n, "contents": f"{title}\n{text}"} for n, (title, text) in enumerate(texts)]
    parts = [{"id": n, "title": title, "text": text} for n, (title, text) in enumerate(texts)]
    packed = tmp_path / "wiki-18.jsonl.gz"
    packed.write_bytes(gzip.compress(write_lines(tmp_path / "wiki-18.jsonl", quoted).read_bytes()))
    sources = [packed, write_parquet(tmp_path / "wiki-18.parquet", quoted)]
    sources += [write_lines(tmp_path / "own.jsonl", bare), write_parquet(tmp_path / "own", bare)]
    sources += [write_lines(tmp_path / "parts.jsonl", parts)]
    for number, source in enumerate(sources):
        out = tmp_path / f"out{number}.jsonl"
        assert build_corpus(source, out) == 2
        assert [json.loads(line) for line in out.read_text().splitlines()] == quoted
    with pytest.raises(InputError, match=r"bad\.parquet: row 2: contents: found nothing"):
        build_corpus(
            write_parquet(tmp_path / "bad.parquet", [quoted[0], {"id": "1", "contents": None}]),
            tmp_path / "out",
        )
