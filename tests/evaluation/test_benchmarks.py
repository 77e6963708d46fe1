"""Benchmark files as SimpleDeepSearcher ships them, and whatever else may be in such a file."""

import json
from pathlib import Path

import pytest

from helpers.scripts import run_script
from searchtrain.core.errors import InputError
from searchtrain.data import question_file
from searchtrain.evaluation import benchmarks

ROOT = Path(__file__).parents[2]
WIKI = {
    "Question": "Who is Ahmose-Henutemipet's paternal grandmother?",
    "source": "2wiki",
    "id": "2wiki_1",
    "answer": ["Tetisheri"],
}
FRAMES = {
    "id": 7,
    "Answer": "....-",
    **{
        f"wikipedia_link_{number}": "https://en.wikipedia.org/wiki/Morse" for number in range(1, 11)
    },
    "wikipedia_link_11+": None,
    "reasoning_types": "Tabular reasoning",
    "wiki_links": "['https://en.wikipedia.org/wiki/Morse_code']",
    "Question": "What is the number of tracks, in Morse code?",
    "answer": ["....-"],
}
GAIA = {
    "id": 3,
    "task_id": "c61d22de",
    "Question": "Which of the two is larger?",
    "answer": ["egalitarian"],
    "Level": 2,
    "Annotator_Metadata": {
        "Steps": "1. The worked solution.",
        "Number of steps": "12",
        "How long did this take?": "8 minutes",
        "Tools": "1. Web browser",
        "Number of tools": "2",
    },
    "source": "gaia_level2",
}
AIME = {"id": 60, "Question": "Find it.", "Solution": "The worked solution.", "answer": "204"}


def write(folder, value, name="file.json"):
    path = folder / name
    text = value if isinstance(value, str) else json.dumps(value)
    path.write_text(text, encoding="utf-8")
    return path


def load(folder, value, name="2wiki"):
    return benchmarks.load_benchmark(name, write(folder, value))[0]


@pytest.mark.parametrize(
    ("name", "row", "key", "source", "golds"),
    [
        ("2wiki", WIKI, "2wiki/2wiki_1", "2wiki", ["Tetisheri"]),
        ("frames", FRAMES, "frames/7", "frames", ["....-"]),
        ("gaia", GAIA, "gaia/3", "gaia_level2", ["egalitarian"]),
        ("aime", AIME, "aime/60", "aime", ["204"]),
    ],
)
def test_published_rows_are_read_and_nothing_else_is_carried(
    tmp_path, name, row, key, source, golds
):
    frame = load(tmp_path, [row], name)
    assert frame.schema == benchmarks.COLUMNS
    assert frame.to_dicts() == [
        {
            "id": key,
            "question": row["Question"],
            "golden_answers": golds,
            "source": source,
            "exclude_urls": [],
            "type": name,
        }
    ]
    kept = json.dumps(benchmarks.make_rows(frame))
    assert "solution" not in kept and "Tools" not in kept and "Morse_code" not in kept


def test_the_id_is_the_task_id_or_the_number_of_the_row(tmp_path):
    rows = [{k: v for k, v in GAIA.items() if k != "id"}, {"Question": "q?", "answer": "a"}]
    assert load(tmp_path, rows, "gaia")["id"].to_list() == ["gaia/c61d22de", "gaia/2"]


def test_browsecomp_plus_names_its_fields_otherwise(tmp_path):
    published = {"query_id": "769", "query": "Who?", "answer": "Ann", "gold_docs": []}
    row = load(tmp_path, [published], "browsecomp").row(0, named=True)
    assert (row["id"], row["question"]) == ("browsecomp/769", "Who?")
    assert row["golden_answers"] == ["Ann"]


def test_frames_has_its_answer_in_another_field_too(tmp_path):
    rows = [{**FRAMES, "answer": []}, {k: v for k, v in FRAMES.items() if k != "answer"}]
    rows[1]["id"] = 8
    frame = load(tmp_path, rows, "frames")
    assert frame["golden_answers"].to_list() == [["....-"], ["....-"]]


def test_any_other_benchmark_works_from_json_lines_with_a_byte_order_mark(tmp_path):
    rows = [
        {"id": "a", "question": "one?", "golden_answers": ["x", "y"], "exclude_urls": ["b.org"]},
        {"id": "b", "question": "two?", "answer": "z", "source": "mine"},
    ]
    text = "\ufeff" + "\n\n".join(map(json.dumps, rows)) + "\n"
    frame = load(tmp_path, text, "own")
    assert frame["id"].to_list() == ["own/a", "own/b"]
    assert frame["golden_answers"].to_list() == [["x", "y"], ["z"]]
    assert frame["source"].to_list() == ["own", "mine"]
    path = write(tmp_path, benchmarks.make_rows(frame), "benchmarks.json")
    assert benchmarks.read_benchmarks(path).equals(frame)
    assert question_file.load_questions(path).equals(frame.drop("type"))


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["file.json", "empty"]),
        ("\ufeff \n", ["file.json", "empty"]),
        ("[]", ["no rows"]),
        ("[{]", ["line 1", "not valid JSON"]),
        ('{"id": 1}\n{"id": ', ["line 2", "not valid JSON", "one object a line"]),
        ([WIKI, "x"], ["row 2", "JSON object", "'x'"]),
        ([{**WIKI, "answer": []}], ["row 1", "2wiki_1", "answer is empty"]),
        ([{**WIKI, "answer": [" "]}], ["row 1", "2wiki_1", "answer is empty"]),
        ([{**WIKI, "answer": None}], ["2wiki_1", "answer is empty"]),
        ([{**WIKI, "Question": "\n"}], ["2wiki_1", "Question is '\\n'"]),
        ([{**WIKI, "Question": "\ud800"}], ["row 1", "Unicode"]),
        (
            [{"task_id": "t", "Question": "q?", "Final answer": "a"}],
            ["'answer'", "missing", "a row of 2wiki has id, Question, answer, source", "Final"],
        ),
        ([{"_id": 1, "answer": "a"}], ["'Question'", "missing", "2wiki has id, Question"]),
    ],
)
def test_faults_name_file_row_field_and_value(tmp_path, content, parts):
    with pytest.raises(InputError) as caught:
        load(tmp_path, content)
    assert str(tmp_path / "file.json") in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_a_bad_row_among_good_ones_is_mended_or_left_out_and_reported(tmp_path):
    rows = [
        WIKI,
        {**WIKI, "id": "b", "answer": 1950, "source": 3},
        {**WIKI, "id": "c", "answer": ["a", " "]},
        {**WIKI, "id": "d", "answer": None},
        WIKI,
    ]
    frame, report = benchmarks.load_benchmarks({"2wiki": write(tmp_path, rows)})
    ids = [f"2wiki/{key}" for key in ("2wiki_1", "b", "c", "2wiki_1~2")]
    assert frame["id"].to_list() == ids
    assert frame["golden_answers"].to_list() == [["Tetisheri"], ["1950"], ["a"], ["Tetisheri"]]
    assert frame["source"].to_list() == ["2wiki", "3", "2wiki", "2wiki"]
    blemishes = report["benchmarks"]["2wiki"]["blemishes"]
    assert {kind: part["count"] for kind, part in blemishes.items()} == dict.fromkeys(
        ("number_answer", "blank_answer", "no_answer", "repeated_id"), 1
    )
    assert blemishes["no_answer"]["rows"] == ["row 4 (id 'd')"]


def test_a_file_that_is_not_there_or_not_utf8(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        benchmarks.load_benchmark("2wiki", tmp_path / "gone.json")
    (tmp_path / "latin.json").write_bytes(b'[{"id": "\xe9"}]')
    with pytest.raises(InputError, match="not UTF-8 at byte"):
        benchmarks.load_benchmark("2wiki", tmp_path / "latin.json")


def test_script_writes_one_question_file_and_what_is_in_it(tmp_path):
    level = {**GAIA, "id": 4, "source": "gaia_level1", "Question": WIKI["Question"].upper()}
    given = {"2wiki": [WIKI], "frames": [FRAMES], "gaia": [GAIA, level]}
    paths = [write(tmp_path, rows, f"{name}.json") for name, rows in given.items()]
    ended = run_script(
        "benchmarks", "--names", *given, "--files", *paths,
        "--out", tmp_path / "benchmarks.json", "--report", tmp_path / "report.json",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    rows = json.loads((tmp_path / "benchmarks.json").read_text())
    assert [row["id"] for row in rows] == ["2wiki/2wiki_1", "frames/7", "gaia/3", "gaia/4"]
    assert set(rows[0]) == {"id", "question", "golden_answers", "source", "type"}
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["rows"] == 4
    assert report["benchmarks"]["gaia"]["sources"] == {"gaia_level1": 1, "gaia_level2": 1}
    assert report["benchmarks"]["frames"]["unscorable"] == 1
    assert report["unscorable"] == ["frames/7"]
    assert report["duplicates"] == [{"id": "gaia/4", "same_as": "2wiki/2wiki_1"}]
    assert "frames/7: its golden answer normalises to nothing" in ended.stderr
