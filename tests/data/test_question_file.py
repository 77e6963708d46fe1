"""Question files: every kind of bad input is named with its place."""

import pytest

from helpers.questions import GOOD, write
from searchtrain.core.errors import InputError
from searchtrain.data.question_file import load_questions


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ("", ["empty"]),
        ("[{", ["line 1", "not valid JSON"]),
        ('{"a": 1}', ["JSON array", "object"]),
        ("[]", ["no questions"]),
        ([GOOD, "what?"], ["row 2", "object", "'what?'"]),
        ([{"question": "q"}], ["row 1", "'id'", "missing"]),
        ([{**GOOD, "id": "  "}], ["row 1", "id", "'  '"]),
        ([{**GOOD, "id": True}], ["row 1", "id", "True"]),
        ([{**GOOD, "id": None}], ["row 1", "id", "None"]),
        ([{"id": "a", "golden_answers": ["x"]}], ["row 1", "'a'", "'question'", "missing"]),
        ([{**GOOD, "question": " \n"}], ["row 1", "'a'", "question", "blank"]),
        ([{**GOOD, "question": 7}], ["row 1", "'a'", "question", "7", "text"]),
        ([{**GOOD, "question": "\ud800"}], ["row 1", "'a'", "question", "Unicode"]),
        ([{"id": "a", "question": "q"}], ["row 1", "'a'", "'golden_answers'", "missing"]),
        ([{**GOOD, "golden_answers": []}], ["row 1", "'a'", "golden_answers", "empty"]),
        ([{**GOOD, "golden_answers": "Jane"}], ["golden_answers", "'Jane'", "list"]),
        ([{**GOOD, "golden_answers": [1815]}], ["golden_answers", "1815", "text"]),
        ([{**GOOD, "golden_answers": ["x", " "]}], ["golden_answers", "blank"]),
        ([GOOD, {**GOOD, "id": "b"}, GOOD], ["row 3", "'a'", "row 1"]),
        ([{**GOOD, "id": 1}, {**GOOD, "id": "1"}], ["row 2", "'1'", "row 1"]),
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


def test_test_file_with_one_id_twice_is_an_error(tmp_path):
    path = write(
        tmp_path, [{"id": "t", "question": "q"}, {"id": "t", "question": "r"}], "test.json"
    )
    with pytest.raises(InputError, match=r"test\.json: row 2: id 't' is already that of row 1"):
        load_questions(path, answers=False)


def test_texts_are_tidied_ids_kept_and_foreign_fields_ignored(tmp_path):
    row = {
        "id": 7,
        "question": " Who\n wrote  Emma? ",
        "golden_answers": [" Jane  Austen "],
        "x": 1,
    }
    frame = load_questions(
        write(tmp_path, [row, {**GOOD, "source": "nq", "exclude_urls": ["answers.example"]}])
    )
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
