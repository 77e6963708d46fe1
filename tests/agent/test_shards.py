"""The teacher's rollouts in shards: the same table, no answer paid for again."""

import polars as pl
import pytest
import yaml

from helpers.checkout import copy_repository
from searchtrain.agent.shards import add_reports, join_shards, take_shard
from searchtrain.core.errors import InputError
from searchtrain.core.files import read_json
from searchtrain.data import schemas

TABLE = "out/results/trajectories.parquet"
LEDGER = "out/cache/scripted_teacher.ledger"


@pytest.fixture
def questions():
    return pl.DataFrame({"id": [f"q{number}" for number in range(200)]})


def test_every_question_is_in_one_shard_whatever_else_is_asked(questions):
    shards = [take_shard(questions, number, 3) for number in (1, 2, 3)]
    assert sorted(pl.concat(shards)["id"]) == sorted(questions["id"])
    assert all(50 < shard.height < 85 for shard in shards)
    fewer = questions.filter(pl.col("id") != "q7")
    for number, shard in enumerate(shards, 1):
        assert take_shard(fewer, number, 3).equals(shard.filter(pl.col("id") != "q7"))


def test_more_shards_than_questions(questions):
    shards = [take_shard(questions.head(2), number, 5) for number in range(1, 6)]
    assert sum(shard.height for shard in shards) == 2


def test_shards_of_other_questions_are_refused(questions):
    empty = schemas.empty_table(schemas.Trajectories)
    with pytest.raises(InputError, match="200 of 200 questions have no rollout"):
        join_shards(questions, [empty, empty])


def test_reports_are_added():
    parts = [
        {
            "rollouts": {"planned": 6, "run": 4, "saved": 2, "saved_share": 0.3333},
            "stop_reasons": reasons,
            "repairs": {"fence": 2} if "answered" in reasons else {"prose": 1, "fence": 1},
            "tokens": {"prompt": 40, "completion": 8},
            "models": {"teacher": {"requests": 3, "dollars": 0.1}},
            "search": {},
        }
        for reasons in ({"turn_limit": 1}, {"answered": 4})
    ]
    assert add_reports(parts) == {
        "rollouts": {
            "planned": 12, "run": 8, "saved": 4, "saved_share": 0.3333, "tokens_saved": 48,
        },
        "tokens": {"prompt": 80, "completion": 16},
        "stop_reasons": {"answered": 4, "turn_limit": 1},
        "repairs": {"fence": 3, "prose": 1},
        "models": {"teacher": {"requests": 6, "dollars": 0.2}},
        "search": {},
    }  # fmt: skip


def test_shards_give_the_same_table_and_buy_nothing_again(tmp_path):
    checkout = copy_repository(tmp_path)

    def build(**settings):
        """Build the rollouts; returns what the teacher was asked so far."""
        overlay = tmp_path / "mine.yaml"
        settings = {"trajectories": {"rollouts": 2, "accepted": 1}, **settings}
        overlay.write_text(yaml.safe_dump(settings))
        ended = checkout.run(TABLE, configfiles=[str(overlay)])
        assert ended.returncode == 0, ended.stdout[-4000:]
        return (tmp_path / LEDGER).read_text().splitlines()

    def split(count):
        return {"trajectories": {"rollouts": 2, "accepted": 1, "shards": count}}

    paid = build()
    assert len(paid) == len(set(paid))
    one = (tmp_path / TABLE).read_bytes()
    report = read_json(tmp_path / "out/results/trajectories_report.json")
    for count in (2, 3):
        assert build(**split(count)) == paid
        assert (tmp_path / TABLE).read_bytes() == one
    for number in (1, 2, 3):
        part = tmp_path / f"out/results/trajectories/{number}.parquet"
        assert schemas.read_table(part, schemas.Trajectories).height > 20
    joined = read_json(tmp_path / "out/results/trajectories_report.json")
    for part in ("rollouts", "stop_reasons", "tokens", "fallbacks"):
        assert joined[part] == report[part]
    assert joined["models"]["teacher"].get("requests", 0) == 0
    assert build(**split(2), sample={"total": 1, "min_domain": 1}) == paid  # one has no question
    assert schemas.read_table(tmp_path / TABLE, schemas.Trajectories)["question_id"].n_unique() == 1
