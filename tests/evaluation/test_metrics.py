"""Scores on cases worked out by hand, and the files that a grader reads."""

import json
from pathlib import Path

import polars as pl
import pytest

from helpers.rollouts import make_predictions
from helpers.scripts import run_script
from searchtrain.config import Predict
from searchtrain.core.errors import InputError
from searchtrain.data import schemas
from searchtrain.data.answers import (
    find_fault,
    match_normalised,
    match_strict,
    match_substring,
    measure_f1,
)
from searchtrain.evaluation.scores import score_answers
from searchtrain.evaluation.submission import check_form, check_submission

ROOT = Path(__file__).parents[2]
DEV = [
    {"id": "d1", "question": "one?", "golden_answers": ["Paris"]},
    {"id": "d2", "question": "two?", "golden_answers": ["The Beatles", "Beatles"]},
]
TEST = [{"id": 329, "question": "three?"}, {"id": 12, "question": "four?"}]
ANSWERS = [
    {"id": 12, "golden_answers": ["Oslo"], "type": "single_hop"},
    {"id": 329, "golden_answers": ["Rome"], "type": "two_hop"},
]


@pytest.mark.parametrize(
    ("answer", "golds", "strict", "normalised", "f1"),
    [
        ("paris", ["London", "Paris"], True, True, 1.0),
        ("  PARIS\n", ["Paris"], True, True, 1.0),
        ("Paris.", ["Paris"], False, True, 1.0),
        ("Beatles", ["The Beatles"], False, True, 1.0),
        ("twenty-one", ["twentyone"], False, True, 1.0),
        ("twenty one", ["twenty-one"], False, False, 0.0),
        ("1,000", ["1000"], False, True, 1.0),
        ("the the theatre", ["theatre"], False, True, 1.0),
        ("Jane Austen", ["Austen"], False, False, 2 / 3),
        ("a b b", ["b b c"], False, False, 0.8),
        ("new york city", ["york", "new york"], False, False, 0.8),
        ("", ["Paris"], False, False, 0.0),
        (" ", ["the"], False, False, 0.0),
        ("....-", ["....-"], True, True, 1.0),
        ("the", ["....-"], False, False, 0.0),
        ("\u00e9cole", ["ecole"], False, False, 0.0),
    ],
)
def test_scores_of_one_answer(answer, golds, strict, normalised, f1):
    assert match_strict(answer, golds) is strict
    assert match_normalised(answer, golds) is normalised
    assert measure_f1(answer, golds) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("answer", "golds", "found"),
    [
        ("He was born in Paris, France.", ["London", "paris"], True),
        ("the party", ["art"], False),
        ("New-York City", ["New York"], False),
        ("It is the U.S.A.", ["USA"], True),
        ("Paris", ["Paris, France"], False),
        ("....-", ["....-"], False),
        ("anything", ["the", "..."], False),
        ("", ["Paris"], False),
    ],
)
def test_a_golden_answer_stands_in_the_answer_word_for_word(answer, golds, found):
    assert match_substring(answer, golds) is found


def test_scores_of_a_split_count_the_unanswered_and_come_per_type():
    frame = pl.DataFrame(
        {
            "answer": ["paris", "oslo.", "", "rome"],
            "golden_answers": [["Paris"], ["Oslo"], ["Bern"], ["Wien"]],
            "type": ["a", "a", "b", None],
            "source": ["x", "x", "x", "y"],
            "searches": [1, 2, 5, 0],
            "stop_reason": ["answered", "answered", "turn_limit", "answered"],
        }
    )
    scores = score_answers(frame)
    assert (scores["n"], scores["em_strict"], scores["em_normalised"]) == (4, 0.25, 0.5)
    assert (scores["f1"], scores["mean_searches"], scores["unanswered"]) == (0.5, 2.0, 1)
    assert scores["stop_reasons"] == {"answered": 3, "turn_limit": 1}
    assert set(scores["by_type"]) == {"a", "b"}
    first = scores["by_type"]["a"]
    assert (first["n"], first["em_strict"], first["em_normalised"]) == (2, 0.5, 1.0)
    assert set(first) == set(scores) - {"by_type", "by_source"}
    assert {name: part["n"] for name, part in scores["by_source"].items()} == {"x": 3, "y": 1}
    assert "judge" not in scores and "judge_invalid" not in scores


def test_no_verdict_counts_as_not_right():
    frame = pl.DataFrame(
        {
            "answer": ["a", "b", "c", "d"],
            "golden_answers": [["x"]] * 4,
            "type": ["t", "t", "u", "u"],
            "source": ["s"] * 4,
            "searches": [0] * 4,
            "stop_reason": ["answered"] * 4,
            "judge": [True, None, False, None],
        }
    )
    scores = score_answers(frame)
    assert (scores["judge"], scores["judge_invalid"]) == (0.25, 2)
    assert (scores["by_type"]["t"]["judge"], scores["by_type"]["t"]["judge_invalid"]) == (0.5, 1)
    assert scores["by_type"]["u"]["judge"] == 0


@pytest.mark.parametrize(
    ("records", "part"),
    [
        ({"a": ""}, "no array"),
        ([{"id": "a", "predicted_answer": ""}], "1 answers where test.json has 2 questions"),
        (
            [{"id": "b", "predicted_answer": ""}, {"id": "a", "predicted_answer": ""}],
            "row 1: id 'b' where test.json has 'a'",
        ),
        ([{"id": "a", "predicted_answer": ""}, {"id": "b", "answer": ""}], "row 2"),
        (
            [{"id": "a", "predicted_answer": ""}, {"id": "b", "predicted_answer": None}],
            "row 2 .*'b'.*None is not text",
        ),
    ],
)
def test_submission_is_checked_as_a_grader_would(records, part):
    with pytest.raises(InputError, match=part):
        check_submission(records, ["a", "b"], "test.json")


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("William III of England", None),
        ("  Oslo ", None),
        ("", None),
        ("1,000", None),
        ("O'Neill's", None),
        ("a < b", None),
        ("C#", None),
        ("The answer is Oslo, Norway", "long"),
        ("Oslo\nNorway", "several_lines"),
        ("<answer>Oslo</answer>", "markup"),
        ("**Oslo**", "markup"),
        ("# Oslo", "markup"),
        ("\\boxed{Oslo}", "markup"),
        ("[Oslo](https://x.test)", "markup"),
        ('"Oslo"', "quoted"),
        ("\u201cOslo\u201d", "quoted"),
        ('the "Oslo"', None),
    ],
)
def test_an_answer_is_a_word_or_phrase(answer, fault):
    assert find_fault(answer, 4) == fault


def test_broken_answers_are_counted_by_kind_until_there_are_too_many():
    texts = ["Oslo", "", '"Oslo"', "one two three four five", "a b c d e f"]
    records = [{"id": number, "predicted_answer": text} for number, text in enumerate(texts)]
    counts = {"answers": 5, "empty": 1, "broken": 3, "faults": {"long": 2, "quoted": 1}}
    assert check_form(records, Predict(max_answer_words=4, max_long_share=0.6)) == counts
    many = {"max_answer_words": 4, "max_long_share": 0.59}
    form = check_form(records, Predict(**many))
    with pytest.raises(InputError) as caught:
        check_form(records, Predict(**many, long_answers="error"))
    said = str(caught.value)
    assert form == {**counts, "warning": said}
    assert "3 of 5 answers" in said and "long 2, quoted 1" in said
    assert "id 2 (quoted)" in said and "id 3 (long)" in said and "id 4 (long)" in said
    assert "predict.max_long_share" in said and "agent.jinja" in said


def test_answers_that_are_no_phrases_are_written_with_a_warning_or_are_an_error(tmp_path):
    assert run_metrics(tmp_path, GOOD).returncode == 0
    before = (tmp_path / "out/test.json").read_bytes()
    rows = [(*row[:2], "the answer to this is Rome", *row[3:]) for row in GOOD]
    none = {**SHORT, "max_long_share": 0.0}
    ended = run_metrics(tmp_path, rows, short={**none, "long_answers": "error"})
    assert ended.returncode == 1 and "id 329 (long)" in ended.stderr
    assert (tmp_path / "out/test.json").read_bytes() == before
    ended = run_metrics(tmp_path, rows, short=none)
    assert ended.returncode == 0 and "warning: test.json: 2 of 2 answers" in ended.stderr
    assert "id 329 (long)" in read(tmp_path, "metrics.json")["test_json"]["warning"]
    written = [row["predicted_answer"] for row in read(tmp_path, "test.json")]
    assert written == ["the answer to this is Rome"] * 2


def test_numeric_ids_must_stay_numbers():
    with pytest.raises(InputError, match=r"row 1: id '1' where test\.json has 1"):
        check_submission([{"id": "1", "predicted_answer": ""}], [1], "test.json")


GOOD = [
    ("dev", "d2", "The Beatles"),
    ("dev", "d1", "paris"),
    ("test", 12, ""),
    ("test", 329, " Rome "),
    ("test_closed_book", 12, "Oslo"),
    ("test_closed_book", 329, "Bern"),
]


SHORT = {"max_answer_words": 4, "max_long_share": 1.0}


def run_metrics(
    folder, rows, *more, answers=ANSWERS, untrained=(), types=None, benchmarks=None, short=SHORT
):
    files = {
        "dev": DEV, "test": TEST, "test-answers": answers, "types": types,
        "benchmarks": benchmarks,
    }  # fmt: skip
    options = [*more]
    for name, value in files.items():
        if value is not None:
            (folder / f"{name}.json").write_text(json.dumps(value))
            options += [f"--{name}", str(folder / f"{name}.json")]
    schemas.write_table(make_predictions(rows), folder / "p.parquet", schemas.Predictions)
    schemas.write_table(make_predictions(untrained), folder / "u.parquet", schemas.Predictions)
    return run_script(
        "metrics", *options,
        "--predictions", folder / "p.parquet", folder / "u.parquet",
        "--metrics", folder / "out" / "metrics.json",
        "--dev-predictions", folder / "out" / "dev_predictions.json",
        "--out", folder / "out" / "test.json",
        "--config", json.dumps({"predict": short}),
    )  # fmt: skip


def read(folder, name):
    return json.loads((folder / "out" / name).read_text())


def test_script_writes_scores_and_answers_in_the_order_of_the_files(tmp_path):
    types = {"d1": "single_hop", "d2": "two_hop"}
    ended = run_metrics(tmp_path, GOOD, untrained=[("test_untrained", 12, "oslo")], types=types)
    assert ended.returncode == 0, ended.stderr
    assert read(tmp_path, "test.json") == [
        {"id": 329, "predicted_answer": "Rome"},
        {"id": 12, "predicted_answer": ""},
    ]
    assert [row["id"] for row in read(tmp_path, "dev_predictions.json")] == ["d1", "d2"]
    assert read(tmp_path, "dev_predictions.json")[0] == {
        "id": "d1", "question": "one?", "predicted_answer": "paris", "golden_answers": ["Paris"],
        "em_strict": True, "em_normalised": True, "substring": True, "searches": 1,
        "stop_reason": "answered", "cause": "",
    }  # fmt: skip
    metrics = read(tmp_path, "metrics.json")
    assert set(metrics) == {"dev", "test", "test_closed_book", "test_untrained", "test_json"}
    assert metrics["test_json"] == {"answers": 2, "empty": 1, "broken": 0, "faults": {}}
    assert metrics["dev"]["em_strict"] == 1.0
    assert set(metrics["dev"]["by_type"]) == {"single_hop", "two_hop"}
    assert (metrics["test"]["n"], metrics["test"]["unanswered"]) == (2, 1)
    assert metrics["test"]["by_type"]["two_hop"]["em_strict"] == 1.0
    assert metrics["test"]["by_type"]["single_hop"]["em_strict"] == 0.0
    assert metrics["test_closed_book"]["em_strict"] == 0.5
    assert (metrics["test_untrained"]["n"], metrics["test_untrained"]["em_strict"]) == (1, 1.0)
    assert "test_closed_book" in ended.stderr
    # What the product and its baselines were measured under stands beside every score.
    assert metrics["dev"]["conditions"]["limits"]["max_searches"] == 4
    assert metrics["test_closed_book"]["conditions"]["limits"]["max_searches"] == 0
    assert metrics["test"]["gaps"]["causes"]["stopping"] == 1  # unanswered
    low, high = metrics["test"]["intervals"]["em_strict"]
    assert low == 0 and high == 1
    assert "at most 4 searches of 3 queries" in ended.stderr


def test_without_test_answers_dev_is_scored_the_base_too_and_the_test_is_answered(tmp_path):
    base = [("dev_untrained", "d1", "x"), ("dev_untrained", "d2", "Beatles")]
    base += [("dev_retrieve_read", "d1", "Paris"), ("dev_retrieve_read", "d2", "Beatles")]
    ended = run_metrics(tmp_path, GOOD, answers=None, untrained=base)
    assert ended.returncode == 0, ended.stderr
    metrics = read(tmp_path, "metrics.json")
    assert set(metrics) == {"dev", "dev_untrained", "dev_retrieve_read", "test_json"}
    assert (metrics["dev_untrained"]["n"], metrics["dev_untrained"]["em_strict"]) == (2, 0.5)
    assert metrics["dev_retrieve_read"]["em_strict"] == 1
    assert "dev_retrieve_read" in ended.stderr  # in the table
    assert metrics["dev"]["by_type"] == {}
    assert len(read(tmp_path, "test.json")) == 2


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        (GOOD[:3] + GOOD[4:], "1 of the 2 questions"),
        (GOOD[1:], "first without: id 'd2'"),
        ([*GOOD, ("test", "zzz", "x")], "id 'zzz' is not in"),
        ([*GOOD[:2], ("test", 12, "x", 0, 1), GOOD[3]], "id '12' has several predictions"),
    ],
)
def test_predictions_that_do_not_fit_the_files_write_nothing(tmp_path, rows, part):
    ended = run_metrics(tmp_path, rows)
    assert ended.returncode == 1
    assert part in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_answers_of_another_test_file_are_refused(tmp_path):
    ended = run_metrics(tmp_path, GOOD, answers=ANSWERS[:1])
    assert ended.returncode == 1
    assert "no answer for id '329'" in ended.stderr


def test_one_prediction_twice_in_a_split_breaks_the_schema(tmp_path):
    frame = make_predictions([GOOD[0], GOOD[0]])
    with pytest.raises(InputError, match="dev/d2#0"):
        schemas.write_table(frame, tmp_path / "p.parquet", schemas.Predictions)
    assert not (tmp_path / "p.parquet").exists()


BENCHMARKS = [
    {
        "id": f"{kind}/{key}",
        "question": f"{kind} {key}?",
        "golden_answers": ["Oslo"],
        "source": source,
        "type": kind,
    }
    for kind, key, source in [
        ("gaia", 1, "gaia_level1"), ("gaia", 2, "gaia_level3"), ("musique", 1, "musique"),
    ]
]  # fmt: skip
ANSWERED = [
    *GOOD, ("benchmarks", "gaia/1", "Oslo"), ("benchmarks", "gaia/2", "in Oslo"),
    ("benchmarks", "musique/1", "Rome"),
]  # fmt: skip


def write_judgements(folder, rows):
    frame = pl.DataFrame(
        [(*row, "because", "" if row[2] is not None else "schema") for row in rows],
        schema=schemas.empty_table(schemas.Judgements).schema,
        orient="row",
    )
    schemas.write_table(frame, folder / "j.parquet", schemas.Judgements)
    cost = {"dollars": 0.0, "all_dollars": 0.12}
    (folder / "judge_report.json").write_text(json.dumps({"model": "j", "cost": cost}))
    return [
        "--judgements", str(folder / "j.parquet"),
        "--judge-report", str(folder / "judge_report.json"),
    ]  # fmt: skip


def test_benchmarks_are_scored_per_benchmark_and_source_with_the_judge(tmp_path):
    judged = write_judgements(
        tmp_path,
        [
            ("benchmarks", "gaia/2", True),
            ("benchmarks", "gaia/1", None),
            ("benchmarks", "musique/1", False),
            ("dev", "d1", True),
            ("dev", "d2", False),
        ],
    )
    ended = run_metrics(tmp_path, ANSWERED, *judged, benchmarks=BENCHMARKS)
    assert ended.returncode == 0, ended.stderr
    metrics = read(tmp_path, "metrics.json")
    assert set(metrics) == {
        "dev",
        "test",
        "test_closed_book",
        "benchmarks",
        "judge_cost",
        "test_json",
    }
    assert metrics["judge_cost"]["all_dollars"] == 0.12
    assert "judge" not in metrics["test"] and metrics["dev"]["judge"] == 0.5
    scores = metrics["benchmarks"]
    assert (scores["n"], scores["judge"], scores["judge_invalid"]) == (3, 0.333333, 1)
    assert (scores["em_normalised"], scores["substring"]) == (0.333333, 0.666667)
    assert scores["by_type"]["gaia"]["substring"] == 1.0
    assert set(scores["by_source"]) == {"gaia_level1", "gaia_level3", "musique"}
    rows = read(tmp_path, "benchmark_predictions.json")
    assert rows[1] == {
        "id": "gaia/2", "question": "gaia 2?", "predicted_answer": "in Oslo",
        "golden_answers": ["Oslo"], "em_strict": False, "em_normalised": False, "substring": True,
        "judge": True, "searches": 1, "stop_reason": "answered", "cause": "form",
        "source": "gaia_level3", "type": "gaia",
    }  # fmt: skip
    assert [row["judge"] for row in rows] == [None, True, False]
    assert [row["judge"] for row in read(tmp_path, "dev_predictions.json")] == [True, False]
    lines = [line for line in ended.stderr.splitlines() if "gaia" in line or "musique" in line]
    names = [line.split("  ")[1] for line in lines]
    # Once in the table of scores and once in that of gaps.
    assert names == 2 * ["gaia", "musique", "source gaia_level1", "source gaia_level3"]


def test_verdicts_of_other_predictions_are_refused(tmp_path):
    judged = write_judgements(tmp_path, [("dev", "d1", True)])
    ended = run_metrics(tmp_path, GOOD, *judged)
    assert ended.returncode == 1
    assert "judgements of split 'dev': none for id 'd2'" in ended.stderr


def test_every_benchmark_question_must_have_been_asked(tmp_path):
    ended = run_metrics(tmp_path, ANSWERED[:-1], benchmarks=BENCHMARKS)
    assert ended.returncode == 1
    assert "first without: id 'musique/1'" in ended.stderr
