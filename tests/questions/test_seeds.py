"""Seeds: what decontamination takes out, and how their sources are joined."""

import json
from pathlib import Path

import polars as pl
import pytest

from helpers.questions import GOOD, make_frame, write
from helpers.scripts import run_script
from searchtrain.config import Seeds
from searchtrain.core.errors import InputError
from searchtrain.data import schemas
from searchtrain.data.question_file import load_questions
from searchtrain.questions import seeds
from searchtrain.questions.seeds import make_seeds

ROOT = Path(__file__).parents[2]
NQ_OPEN = ROOT.parent / "shared" / "data" / "nq_open"
LONG = "who was the first person to walk on the moon in july"


def find_reasons(train, held_out, **settings):
    seeds, report = make_seeds(train, held_out, Seeds(**{"phrase_count": None, **settings}))
    assert report["rows_in"] == train.height
    assert report["rows_out"] == seeds.height == train.height - len(report["dropped"])
    assert sum(report["reasons"].values()) == len(report["dropped"])
    return {row["id"]: (row["reason"], row["match"]) for row in report["dropped"]}


def test_duplicates_differ_in_case_punctuation_and_space_only():
    train = make_frame("Who wrote Emma?", "who  wrote 'Emma'", "Who wrote C++?", "Who wrote C?")
    assert find_reasons(train, {}) == {"1": ("duplicate", "0")}


def test_letters_with_combining_marks_are_no_duplicates():
    assert find_reasons(make_frame("\u0915\u0940", "\u0915\u093e"), {}) == {}


def test_equal_questions_of_dev_and_test_are_dropped():
    train = make_frame("Who wrote Emma?", "Where is Oslo?", "Why?")
    held_out = {
        "dev": make_frame("who wrote emma", start=10),
        "test": make_frame("where is Oslo", "who wrote emma", start=20),
    }
    assert find_reasons(train, held_out) == {
        "0": ("equal_in_dev", "10"),
        "1": ("equal_in_test", "20"),
    }


def test_eight_words_in_a_row_are_contamination_and_seven_are_not():
    words = LONG.split()
    train = make_frame(
        "Say, " + " ".join(words[:8]) + "?", "Say, " + " ".join(words[:7]) + "?", "Why?"
    )
    held_out = {"test": make_frame(LONG, start=20)}
    assert find_reasons(train, held_out) == {"0": ("ngram_in_test", "20")}
    assert set(find_reasons(train, held_out, ngram=7)) == {"0", "1"}
    assert find_reasons(train, held_out, ngram=None) == {}


def test_short_questions_are_compared_as_a_whole_only():
    train = make_frame("the moon in july", "who was the first person")
    assert find_reasons(train, {"test": make_frame(LONG, start=20)}) == {}


def test_phrase_of_many_training_questions_is_no_leak_but_a_whole_question_is():
    frame = "what is the currency code of the country where {} is?"
    train = make_frame(*(frame.format(f"city{i}") for i in range(5)), frame.format("oslo"))
    held_out = {"dev": make_frame(frame.format("rome"), frame.format("Oslo"), start=10)}
    assert len(find_reasons(train.head(5).vstack(make_frame("why", start=9)), held_out)) == 5
    assert find_reasons(train, held_out, phrase_count=5) == {"5": ("equal_in_dev", "11")}


def test_nothing_left_is_an_error_with_the_reasons():
    train = make_frame("Why?", "why")
    with pytest.raises(InputError, match=r"no question is left of 2 .*duplicate 1, equal_in_dev 1"):
        make_seeds(train, {"dev": make_frame("why")}, Seeds())


def run_seeds(folder, train, **settings):
    files = {
        "train": write(folder, train, "train.json"),
        "dev": write(folder, [{**GOOD, "question": "Where is Rome?"}], "dev.json"),
        "test": write(folder, [{"id": "t", "question": "Why?"}], "test.json"),
        "out": folder / "seeds.parquet",
        "report": folder / "report.json",
        "log": folder / "seeds.log",
    }
    config = json.dumps({"seeds": settings})
    options = [text for name, path in files.items() for text in (f"--{name}", str(path))]
    return run_script("seeds", *options, "--config", config)


def test_script_writes_seeds_and_report_and_a_fault_leaves_them_alone(tmp_path):
    ended = run_seeds(tmp_path, [GOOD, {**GOOD, "id": "b"}, {**GOOD, "id": "c", "question": "why"}])
    assert ended.returncode == 0, ended.stderr
    seeds = schemas.read_table(tmp_path / "seeds.parquet", schemas.Seeds)
    assert seeds.to_dicts() == [{**GOOD, "source": "train", "exclude_urls": []}]
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["rows_in"], report["rows_out"]) == (3, 1)
    assert report["reasons"] == {
        "duplicate": 1, "equal_in_dev": 0, "ngram_in_dev": 0,
        "equal_in_test": 1, "ngram_in_test": 0,
    }  # fmt: skip
    assert "- duplicate" in (tmp_path / "seeds.log").read_text()
    before = (tmp_path / "seeds.parquet").read_bytes()

    rows = [{**GOOD, "golden_answers": ["Jane Austen", 1]}, {**GOOD, "id": "b"}]
    ended = run_seeds(tmp_path, rows, strict=True)
    assert ended.returncode == 1
    assert "row 1 (id 'a'): golden_answers holds 1; it must be text" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "seeds.parquet").read_bytes() == before

    ended = run_seeds(tmp_path, rows)
    assert ended.returncode == 0, ended.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    blemishes = report["files"]["train"]["blemishes"]
    assert blemishes["number_answer"]["rows"] == ["row 1 (id 'a'): golden_answers"]
    assert report["files"]["test"]["blemishes"] == {}
    (line,) = [line for line in (tmp_path / "seeds.log").open() if "warning: " in line]
    assert "train.json" in line and "row 1 (id 'a')" in line


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"ngrams": 8}, "unknown key seeds.ngrams; known here: ngram, phrase_count"),
        (
            {"ngram": -1},
            "seeds.ngram: -1 is not allowed; it must be a whole number of at least 2",
        ),
        ({"ngram": "8"}, "seeds.ngram: '8' is not allowed; it must be a whole number"),
    ],
)
def test_script_refuses_a_wrong_setting(tmp_path, settings, part):
    ended = run_seeds(tmp_path, [GOOD], **settings)
    assert ended.returncode == 1
    assert part in ended.stderr


@pytest.mark.skipif(not NQ_OPEN.exists(), reason="real data is not here")
def test_real_questions_come_through():
    held_out = {
        "dev": load_questions(NQ_OPEN / "dev.json"),
        "test": load_questions(NQ_OPEN / "test.json", answers=False),
    }
    train = load_questions(NQ_OPEN / "train.json")
    seeds, report = make_seeds(train, held_out, Seeds())
    assert (report["rows_in"], report["rows_out"]) == (2600, 2600)
    leak = held_out["test"].head(3).with_columns(golden_answers=pl.Series([["x"]] * 3))
    _, report = make_seeds(train.vstack(leak), held_out, Seeds())
    assert report["reasons"]["equal_in_test"] == 3
    assert seeds["golden_answers"].list.len().min() >= 1


def make_sources(*tree_texts):
    """One sampled seed, and a tree question per text: the first held out, the second dropped."""
    seed = make_frame("Who wrote Emma?").with_columns(
        domain=pl.lit("books"), key_points=pl.lit([], pl.List(pl.String)), units=1,
        bucket=pl.lit("books"), sampling_pass=1,
    ).rename({"sampling_pass": "pass"})  # fmt: skip
    splits = ["test", "none"]
    trees = [
        {
            **dict.fromkeys(("fault", "leak", "error"), ""), "id": f"tree-{number}",
            "status": "done", "page": "p", "answer": "Lyon", "aliases": ["Lyons"], "vertices": 3,
            "nodes": [], "levels": [["b"], ["p"]], "steps": 2, "cost": 0.0, "question": text,
            "closed_book": [], "difficult": True, "found": ["Lyon"], "verifiable": True,
            "kept": number != 1, "split": splits[number] if number < 2 else "train",
        }
        for number, text in enumerate(tree_texts)
    ]  # fmt: skip
    return seed, pl.DataFrame(trees, schema=schemas.empty_table(schemas.TreeQuestions).schema)


def test_tree_questions_for_training_join_the_seeds_without_contaminated_ones():
    sampled, trees = make_sources("Held out?", "Dropped?", "Which city is it?", LONG)
    held_out = {"test": make_frame(LONG)}
    joined, report = seeds.join_sources(sampled, trees, held_out, Seeds())
    assert joined["id"].to_list() == ["0", "tree-2"]
    tree = joined.row(1, named=True)
    assert tree["golden_answers"] == ["Lyon", "Lyons"] and tree["origin"] == "tree"
    assert (tree["vertices"], tree["levels"]) == (3, [["b"], ["p"]])
    assert joined.row(0, named=True)["levels"] == []
    assert report["tree"]["rows"] == 1 and report["tree"]["reasons"]["equal_in_test"] == 1
    without, _ = seeds.join_sources(sampled, trees, held_out, Seeds(), most=0)
    assert without["id"].to_list() == ["0"]


def test_without_trees_the_questions_are_the_sampled_ones():
    sampled, _ = make_sources()
    joined, report = seeds.join_sources(sampled, None, {}, Seeds())
    assert joined["question"].to_list() == sampled["question"].to_list()
    assert report == {"seed": {"rows": 1}}


def test_a_larger_draw_keeps_the_smaller_one_whatever_the_order():
    frame = make_frame(*(f"Question {number}?" for number in range(50)))
    few, more = (set(seeds.draw_questions(frame, count, 3)["id"]) for count in (10, 20))
    assert len(few) == 10 and len(more) == 20 and few < more
    assert set(seeds.draw_questions(frame.reverse(), 10, 3)["id"]) == few
    assert set(seeds.draw_questions(frame, 10, 4)["id"]) != few
    assert seeds.draw_questions(frame, None, 3).equals(frame)
