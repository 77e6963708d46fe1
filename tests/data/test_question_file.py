"""Question files: a bad file is an error with its place; a bad row among good ones is mended or
left out, counted and named."""

import json
import logging
from pathlib import Path

import pytest

from helpers.questions import GOOD, write
from searchtrain.core.errors import InputError
from searchtrain.data import question_file
from searchtrain.data.question_file import load_questions, read_questions

NQ_OPEN = Path(__file__).parents[3] / "shared" / "data" / "nq_open" / "train.json"


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ("", ["empty"]),
        ("[{", ["line 1", "not valid JSON"]),
        ('{"a": 1}', ["line 1", "'question' is missing", "has a"]),
        ('{\n "data": []\n}', ["line 1", "must be a JSON array"]),
        ("[]", ["no rows"]),
        ([GOOD, "what?", "why?"], ["row 2", "object", "'what?'", "2 of 3 rows"]),
        ([{"id": "a", "golden_answers": ["x"]}], ["row 1", "'a'", "'question'", "missing"]),
        ([{**GOOD, "question": " \n"}], ["row 1", "'a'", "question", "' \\n'"]),
        ([{**GOOD, "question": "\ud800"}], ["row 1", "'a'", "question"]),
        ([{"id": "a", "question": "q"}], ["row 1", "'a'", "'golden_answers'", "missing"]),
        ([{**GOOD, "golden_answers": []}], ["row 1", "'a'", "golden_answers", "empty"]),
    ],
)
def test_bad_file_is_named_with_its_place(tmp_path, rows, parts):
    path = write(tmp_path, rows)
    with pytest.raises(InputError) as caught:
        load_questions(path)
    for part in [str(path), *parts]:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.json: no such file"):
        load_questions(tmp_path / "nowhere.json")


BAD_ROWS = [
    ({"id": "b", "question": "q"}, "no_answer", None),
    ({**GOOD, "id": "b", "golden_answers": []}, "no_answer", None),
    ({**GOOD, "id": "b", "golden_answers": None}, "no_answer", None),
    ({**GOOD, "id": "b", "golden_answers": ["x", " "]}, "blank_answer", ["x"]),
    ({**GOOD, "id": "b", "golden_answers": ["x", None]}, "blank_answer", ["x"]),
    ({**GOOD, "id": "b", "golden_answers": ["x", float("nan")]}, "blank_answer", ["x"]),
    ({**GOOD, "id": "b", "golden_answers": [1815]}, "number_answer", ["1815"]),
    ({**GOOD, "id": "b", "golden_answers": [1815.0, -2.5]}, "number_answer", ["1815", "-2.5"]),
    ({**GOOD, "id": "b", "golden_answers": 7}, "number_answer", ["7"]),
    ({**GOOD, "id": "b", "golden_answers": ["x", True, ["y"]]}, "unusable_answer", ["x"]),
    ({**GOOD, "id": "b", "golden_answers": ["x", "\ud800"]}, "unusable_answer", ["x"]),
    ({**GOOD, "id": "b", "golden_answers": "Jane"}, "text_answers", ["Jane"]),
    ({**GOOD, "id": "b", "golden_answers": '["J\\u00f6", "K"]'}, "text_answers", ["J\u00f6", "K"]),
    ({**GOOD, "id": "b", "golden_answers": "['it\\'s', \"K\"]"}, "text_answers", ["it's", "K"]),
    ({**GOOD, "id": "b", "golden_answers": "['J' 'K']"}, "no_answer", None),
    ({**GOOD, "id": "b", "golden_answers": "[]"}, "no_answer", None),
    ({**GOOD, "id": "b", "question": None}, "no_question", None),
    ({**GOOD, "id": "b", "question": 7}, "no_question", None),
    ({**GOOD, "id": None}, "no_id", ["Jane Austen"]),
    ({**GOOD, "id": float("nan")}, "no_id", ["Jane Austen"]),
    ({**GOOD, "id": True}, "no_id", ["Jane Austen"]),
    (GOOD, "repeated_id", ["Jane Austen"]),
    ({**GOOD, "id": "b", "source": ["nq"]}, "unusable_source", ["Jane Austen"]),
    ({**GOOD, "id": "b", "exclude_urls": [None]}, "unusable_url", ["Jane Austen"]),
    ("what?", "no_object", None),
    (None, "no_object", None),
]


@pytest.mark.parametrize(("row", "kind", "answers"), BAD_ROWS)
def test_a_bad_row_among_good_ones_is_mended_or_left_out_and_named(
    tmp_path, caplog, row, kind, answers
):
    path = write(tmp_path, [GOOD, row, {**GOOD, "id": "c"}])
    with caplog.at_level(logging.WARNING):
        frame, report = read_questions(path)
    rows = frame.rows(named=True)
    assert [each["id"] for each in rows if each["id"] in "ac"] == ["a", "c"]
    mended = [each["golden_answers"] for each in rows if each["id"] not in "ac"]
    assert mended == ([answers] if answers else [])
    assert (report["rows"], report["usable"]) == (3, frame.height)
    found = report["blemishes"][kind]
    assert found["count"] == len(found["rows"]) >= 1 and all("row 2" in p for p in found["rows"])
    assert str(path) in caplog.text and "row 2" in caplog.text
    with pytest.raises(InputError) as caught:
        read_questions(path, strict=True)
    assert f"{path}: row 2" in str(caught.value) and "\n" not in str(caught.value)


def test_rows_with_one_id_get_numbers_in_every_file_alike(tmp_path):
    rows = [{"id": key, "question": f"q{n}"} for n, key in enumerate(["t", 7, "t", "7", "t"])]
    path = write(tmp_path, rows, "test.json")
    assert load_questions(path, answers=False)["id"].to_list() == ["t", "7", "t~2", "7~2", "t~3"]
    assert question_file.load_ids(path) == ["t", 7, "t", "7", "t"]
    answers = write(tmp_path, [{**row, "golden_answers": ["x"]} for row in rows], "answers.json")
    assert question_file.load_answers(answers)["id"].to_list() == ["t", "7", "t~2", "7~2", "t~3"]


def test_a_row_of_a_test_file_keeps_its_place_and_needs_an_id(tmp_path):
    rows = [{"id": "s", "question": "q"}, {"id": "t", "question": None}, {"id": "u"}]
    frame, report = read_questions(write(tmp_path, rows, "test.json"), answers=False)
    assert frame["id"].to_list() == ["s", "t", "u"]
    assert frame["question"].to_list() == ["q", *[question_file.NO_QUESTION] * 2]
    assert report["blemishes"]["unasked"]["count"] == 2
    for bad in ({"question": "q"}, {"id": " ", "question": "q"}, "q"):
        path = write(tmp_path, [rows[0], bad], "test.json")
        with pytest.raises(InputError, match=r"test\.json: row 2"):
            load_questions(path, answers=False)


def test_byte_order_mark_line_ends_of_windows_and_json_lines_are_read(tmp_path):
    rows = [GOOD, {**GOOD, "id": "b"}]
    texts = [
        "\ufeff" + json.dumps(rows),
        json.dumps(rows, indent=1).replace("\n", "\r\n"),
        "".join(f"{json.dumps(row)}\r\n" for row in rows),
        "\ufeff" + "\n\n".join(map(json.dumps, rows)),
    ]
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.json"
        path.write_bytes(text.encode())
        frame, report = read_questions(path)
        assert frame["id"].to_list() == question_file.load_ids(path) == ["a", "b"]
        assert report["blemishes"] == {}


def test_texts_are_tidied_ids_kept_and_foreign_fields_ignored(tmp_path):
    row = {
        "id": 7,
        "question": " Who\n wrote\u00a0 Emma? ",
        "golden_answers": [" Jane  Austen "],
        "x": 1,
    }
    frame, report = read_questions(
        write(tmp_path, [row, {**GOOD, "source": "nq", "exclude_urls": ["answers.example"]}])
    )
    assert report["blemishes"] == {}
    assert frame.to_dicts() == [
        {
            "id": "7",
            "question": "Who wrote Emma?",
            "golden_answers": ["Jane Austen"],
            "source": "train",
            "exclude_urls": [],
        },
        {**GOOD, "source": "nq", "exclude_urls": ["answers.example"]},
    ]


def test_answers_of_a_test_file_are_not_read(tmp_path):
    frame = load_questions(write(tmp_path, [GOOD]), answers=False)
    assert frame["golden_answers"].to_list() == [[]]


def test_types_that_are_no_text_are_left_out(tmp_path):
    path = write(tmp_path, '\ufeff{"a": "x", "b": null, "c": 3}', "types.json")
    assert question_file.load_types(path) == {"a": "x"}
    with pytest.raises(InputError, match=r"types\.json: expected one JSON object"):
        question_file.load_types(write(tmp_path, "[]", "types.json"))


@pytest.mark.skipif(not NQ_OPEN.exists(), reason="real data is not here")
def test_every_kind_of_bad_row_among_real_ones(tmp_path):
    rows = json.loads(NQ_OPEN.read_text())
    _, clean = read_questions(NQ_OPEN)
    assert clean["blemishes"] == {} and clean["usable"] == len(rows)
    for place, (row, _, _) in enumerate(BAD_ROWS):
        rows.insert(100 * place, row)
    frame, report = read_questions(write(tmp_path, rows))
    dropped = sum(answers is None for _, _, answers in BAD_ROWS)
    assert report["usable"] == frame.height == len(rows) - dropped
    assert frame["id"].is_unique().all() and frame["golden_answers"].list.len().min() >= 1
