"""Diversity-aware sampling against the published algorithm, and without its defects."""

import json
import random
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from searchtrain import schemas
from searchtrain.errors import InputError
from searchtrain.sampling import SampleSettings, assign_passes, sample_questions, share_quota

ROOT = Path(__file__).parent.parent


def make_tagged(rows):
    """`rows`: (domain, key points[, question])."""
    return pl.DataFrame(
        [
            {
                "id": str(number),
                "question": rest[0] if rest else f"question {number}",
                "golden_answers": ["x"],
                "source": "test",
                "exclude_urls": [],
                "domain": domain,
                "key_points": list(points),
            }
            for number, (domain, points, *rest) in enumerate(rows)
        ],
        schema_overrides={"exclude_urls": pl.List(pl.String)},
    )


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
    chosen = sample_questions(make_tagged(rows), SampleSettings(min_domain=1))
    assert chosen.select("id", "units", "pass").rows() == [("1", 5, 1), ("2", 1, 1), ("0", 0, 2)]


def test_unit_words_are_all_sixteen_or_the_interrogative_ten():
    rows = [("film", ["a"], "Who is the man whose films were shown, and WHERE? Whoever does it.")]
    tagged = make_tagged(rows)
    for words, units in (("all", 6), ("interrogative", 3)):
        assert sample_questions(tagged, SampleSettings(unit_words=words))["units"][0] == units


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
    chosen = sample_questions(make_tagged(rows), SampleSettings(min_domain=2))
    assert chosen["bucket"].to_list() == ["film"] * 3 + ["art"] * 2 + ["other"] * 2
    assert chosen["domain"].to_list()[-2:] == ["law", "sea"]


def test_total_beyond_the_pool_returns_the_pool_and_says_so(caplog):
    tagged = make_tagged([("film", ["a"])] * 3 + [("art", ["a"])] * 2)
    chosen = sample_questions(tagged, SampleSettings(total=50, min_domain=1))
    assert sorted(chosen["id"]) == ["0", "1", "2", "3", "4"]
    assert "sample.total is 50 but only 5 questions are there" in caplog.text


def test_repeated_question_text_is_taken_once():
    rows = [("film", ["a"], "who?"), ("art", ["b"], "who?")]
    chosen = sample_questions(make_tagged(rows), SampleSettings(min_domain=1))
    assert chosen["id"].to_list() == ["0"]


def test_question_without_key_points_is_taken_in_the_first_pass():
    rows = [("film", []), ("film", []), ("film", ["a"])]
    chosen = sample_questions(make_tagged(rows), SampleSettings(min_domain=1))
    assert chosen["pass"].to_list() == [1, 1, 1]


@pytest.mark.parametrize(
    ("setting", "part"),
    [({"total": 0}, "total"), ({"min_domain": 0}, "min_domain"), ({"unit_words": "x"}, "'x'")],
)
def test_setting_out_of_range_is_named(setting, part):
    with pytest.raises(InputError, match=part):
        SampleSettings(**setting)


def test_script_is_deterministic(tmp_path):
    draw = random.Random(1)
    rows = [(draw.choice("abc"), draw.sample("klmnop", 2)) for _ in range(200)]
    schemas.write_table(make_tagged(rows), tmp_path / "tagged.parquet", schemas.Tagged)
    config = json.dumps({"total": 50, "min_domain": 10})
    for out in ("one.parquet", "two.parquet"):
        subprocess.run(
            [
                sys.executable, str(ROOT / "scripts" / "sample.py"),
                "--tagged", str(tmp_path / "tagged.parquet"),
                "--out", str(tmp_path / out), "--config", config,
            ],
            check=True,
        )  # fmt: skip
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    chosen = schemas.read_table(tmp_path / "one.parquet", schemas.Sampled)
    assert chosen.height == 50
