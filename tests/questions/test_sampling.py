"""Diversity-aware sampling against the published algorithm, and without its defects."""

import json
import random
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from helpers.questions import make_tagged
from helpers.scripts import run_script
from searchtrain.config import Sample
from searchtrain.core import files
from searchtrain.core.errors import InputError
from searchtrain.data import schemas
from searchtrain.questions.sampling import (
    assign_passes,
    describe_sampling,
    sample_questions,
    share_quota,
)
from searchtrain.questions.tagging import add_tags, compile_aliases, parse_tag

ROOT = Path(__file__).parents[2]


def make_settings(**values):
    """All questions, counted as the published code does, unless `values` say otherwise."""
    return Sample(**{"total": None, "min_domain": 500, "unit_words": "all", **values})


def loop_as_published(key_points):
    """SimpleDeepSearcher's query_sampling loop over one bucket; the pass of every question."""
    passes = [0] * len(key_points)
    number = 0
    while 0 in passes:
        number += 1
        seen = set()
        for i, points in enumerate(key_points):
            if not passes[i] and not seen & set(points):
                seen |= set(points)
                passes[i] = number
    return passes


@pytest.mark.parametrize(("questions", "labels"), [(40, 5), (300, 12), (400, 3), (300, 200)])
def test_passes_are_those_of_the_published_loop(questions, labels):
    draw = random.Random(questions)
    key_points = [
        [f"point {draw.randrange(labels)}" for _ in range(draw.randint(0, 4))]
        for _ in range(questions)
    ]
    assert assign_passes(key_points) == loop_as_published(key_points)


def test_questions_of_one_pass_share_no_key_point_and_complex_ones_come_first():
    rows = [
        ("film", ["director"], "name the director"),
        ("film", ["director", "age"], "who is the director and how old, and where was he born"),
        ("film", ["year"], "when did it come out"),
    ]
    chosen = sample_questions(make_tagged(rows), make_settings(min_domain=1))
    assert chosen.select("id", "units", "pass").rows() == [("1", 5, 1), ("2", 1, 1), ("0", 0, 2)]


def test_unit_words_are_all_sixteen_or_the_interrogative_ten():
    rows = [("film", ["a"], "Who is the man whose films were shown, and WHERE? Whoever does it.")]
    tagged = make_tagged(rows)
    for words, units in (("all", 6), ("interrogative", 3)):
        assert sample_questions(tagged, make_settings(unit_words=words))["units"][0] == units


@pytest.mark.parametrize(
    ("sizes", "total", "quotas"),
    [
        ([10, 10, 10], 9, [3, 3, 3]),
        ([10, 10, 10], 10, [4, 3, 3]),
        ([10, 10, 2], 12, [5, 5, 2]),
        ([100, 5, 1], 20, [14, 5, 1]),
        ([3, 3], 100, [3, 3]),
        ([5, 5, 5], 2, [1, 1, 0]),
    ],
)
def test_quota_that_a_domain_can_not_fill_goes_to_the_others(sizes, total, quotas):
    assert share_quota(sizes, total) == quotas


def test_small_domains_share_other_which_comes_last():
    rows = [("film", ["a"])] * 3 + [("art", ["b"])] * 2 + [("law", ["c"])] + [("sea", ["c"])]
    chosen = sample_questions(make_tagged(rows), make_settings(min_domain=2))
    assert chosen["bucket"].to_list() == ["film"] * 3 + ["art"] * 2 + ["other"] * 2
    assert chosen["domain"].to_list()[-2:] == ["law", "sea"]


def test_total_beyond_the_pool_returns_the_pool_and_says_so(caplog):
    tagged = make_tagged([("film", ["a"])] * 3 + [("art", ["a"])] * 2)
    chosen = sample_questions(tagged, make_settings(total=50, min_domain=1))
    assert sorted(chosen["id"]) == ["0", "1", "2", "3", "4"]
    assert "sample.total is 50 but only 5 questions are there" in caplog.text


def test_repeated_question_text_is_taken_once():
    rows = [("film", ["a"], "who?"), ("art", ["b"], "who?")]
    chosen = sample_questions(make_tagged(rows), make_settings(min_domain=1))
    assert chosen["id"].to_list() == ["0"]


def test_question_without_key_points_is_taken_in_the_first_pass():
    rows = [("film", []), ("film", []), ("film", ["a"])]
    chosen = sample_questions(make_tagged(rows), make_settings(min_domain=1))
    assert chosen["pass"].to_list() == [1, 1, 1]


def test_labels_are_canonical_before_they_are_counted():
    aliases = compile_aliases({"movies": "film"})
    labels = ["Films", "movie", "FILM", "Movies", "arts"]
    tags = [
        parse_tag({"domain": label, "key_points": [point, f"point {label}"]}, aliases)
        for label, point in zip(labels, ["Ages", "age", "age.", "AGE", "ages"], strict=True)
    ]
    seeds = make_tagged([("x", [])] * 5).drop("domain", "key_points")
    tagged = add_tags(seeds, tags)
    settings = make_settings(total=4, min_domain=1)
    report = describe_sampling(tagged, sample_questions(tagged, settings), settings)
    assert report["domains"]["counts"] == [
        {"label": "film", "before": 4, "after": 3},
        {"label": "art", "before": 1, "after": 1},
    ]
    assert report["key_points"]["counts"][0] == {"label": "age", "before": 5, "after": 4}


def test_report_says_what_sampling_did():
    rows = [("film", ["a", "b"], f"who is it {n}") for n in range(6)]
    rows += [("art", ["a"], "when"), ("art", [], "in 1900"), ("law", ["c"], "why so"), rows[0]]
    tagged = make_tagged(rows).with_columns(pl.Series("source", ["hotpotqa"] * 5 + ["musique"] * 5))
    settings = make_settings(total=4, min_domain=2)
    sampled = sample_questions(tagged, settings)
    report = describe_sampling(tagged, sampled, settings)
    assert report["questions"] == {"tagged": 10, "repeated": 1, "before": 9, "after": 4}
    assert report["settings"] == {"total": 4, "min_domain": 2, "unit_words": "all"}
    assert report["buckets"] == [
        {"bucket": "film", "questions": 6, "quota": 2, "passes": 2},
        {"bucket": "art", "questions": 2, "quota": 1, "passes": 1},
        {"bucket": "other", "questions": 1, "quota": 1, "passes": 1},
    ]
    assert report["domains"]["counts"] == [
        {"label": "film", "before": 6, "after": 2},
        {"label": "art", "before": 2, "after": 1},
        {"label": "law", "before": 1, "after": 1},
    ]
    assert report["domains"]["evenness"]["before"] < report["domains"]["evenness"]["after"] < 1
    assert report["key_points"]["distinct"] == {"before": 3, "after": 3}
    assert report["mean_units"] == {"before": 1.5556, "after": 1.5}
    assert report["sources"]["counts"] == [
        {"label": "hotpotqa", "before": 5, "after": 2},
        {"label": "musique", "before": 4, "after": 2},
    ]


def test_equally_frequent_labels_are_perfectly_even_and_one_label_has_no_evenness():
    tagged = make_tagged([("film", ["a"]), ("art", ["a"])])
    settings = make_settings(min_domain=1)
    report = describe_sampling(tagged, sample_questions(tagged, settings), settings)
    assert report["domains"]["evenness"] == {"before": 1.0, "after": 1.0}
    assert report["key_points"]["evenness"] == {"before": None, "after": None}


def test_bucket_without_a_quota_is_in_the_report():
    tagged = make_tagged([("film", ["a"])] * 2 + [("art", ["a"])])
    settings = make_settings(total=1, min_domain=1)
    report = describe_sampling(tagged, sample_questions(tagged, settings), settings)
    assert report["buckets"][1] == {"bucket": "art", "questions": 1, "quota": 0, "passes": None}


@pytest.mark.parametrize(
    ("setting", "part"),
    [({"total": 0}, "total"), ({"min_domain": 0}, "min_domain"), ({"unit_words": "x"}, "'x'")],
)
def test_setting_out_of_range_is_named(setting, part):
    with pytest.raises(InputError, match=part):
        Sample.parse(setting, "sample")


def test_script_is_deterministic(tmp_path):
    draw = random.Random(1)
    rows = [(draw.choice("abc"), draw.sample("klmnop", 2)) for _ in range(200)]
    schemas.write_table(make_tagged(rows), tmp_path / "tagged.parquet", schemas.Tagged)
    config = json.dumps({"sample": {"total": 50, "min_domain": 10}})
    options = {
        out: [
            "--tagged", str(tmp_path / "tagged.parquet"),
            "--out", str(tmp_path / f"{out}.parquet"),
            "--report", str(tmp_path / f"{out}.json"),
            "--config", config,
        ]
        for out in ("one", "two")
    }  # fmt: skip
    assert run_script("sample", *options["one"]).returncode == 0
    # In a process of its own sets have another order.
    other = [sys.executable, str(ROOT / "scripts/sample.py"), *options["two"]]
    subprocess.run(other, check=True, capture_output=True)
    for suffix in ("parquet", "json"):
        one, two = (tmp_path / f"{name}.{suffix}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
    chosen = schemas.read_table(tmp_path / "one.parquet", schemas.Sampled)
    assert chosen.height == 50
    assert files.read_json(tmp_path / "one.json")["questions"]["after"] == 50
