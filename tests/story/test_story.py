"""The story of a row: complete for each kind of id, honest about what is missing, safe to print."""

import asyncio
import json
import subprocess
import sys
import unicodedata

import polars as pl
import pytest

from helpers import hostile
from helpers.chat import chat
from helpers.checkout import ROOT
from helpers.rollouts import make_frame, make_predictions, make_rollout
from helpers.scores import make_scores
from helpers.scripts import run_script
from searchtrain.agent.formats import open_format
from searchtrain.agent.requests import list_requests
from searchtrain.config import Config, Curate, Rules
from searchtrain.core.errors import InputError
from searchtrain.core.files import write_json
from searchtrain.curation.choice import curate_rollouts
from searchtrain.data import schemas
from searchtrain.data.results import SETTINGS_FILE, Results
from searchtrain.evaluation.judge import judge_predictions, select_answers
from searchtrain.models.client import ModelClient
from searchtrain.models.prompts import render_prompt
from searchtrain.models.request_cache import RequestCache
from searchtrain.models.role import make_role
from searchtrain.story.chapters import WIDTH, format_story
from searchtrain.story.story import tell_story

WRONG = 'the "Bergen"\x1b[31m'
LINEAGE = make_rollout()["lineage"]
RULES = Rules(**{**dict.fromkeys(Rules.model_fields), "exact_match": True, "turns": 6})


def make_question(key, **more):
    return {"id": key, "question": "What is the capital?", "golden_answers": ["Oslo"], **more}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Results of two training questions, one dropped seed, one test question."""
    folder = tmp_path_factory.mktemp("run") / "results"
    train = [make_question(key) for key in ("q1", "q2", "copy")]
    write_json(train, folder / "world/train.json")
    write_json([make_question("t1")], folder / "world/test.json")
    write_json([make_question("t1", golden_answers=["Oslo"])], folder / "world/test_answers.json")
    write_json([make_question("d1")], folder / "world/dev.json")
    write_json({"t1": "single_hop"}, folder / "world/types.json")
    dropped = {"id": "copy", "reason": "equal_in_test", "match": "t1"}
    write_json({"dropped": [dropped]}, folder / "seeds_report.json")
    seeds = pl.DataFrame([{**row, "source": "train", "exclude_urls": []} for row in train[:2]])
    tagged = seeds.with_columns(domain=pl.lit("city"), key_points=pl.lit(["capital"]))
    sampled = tagged[:1].with_columns(
        pl.lit(1, pl.Int64).alias("units"), pl.lit("city").alias("bucket"),
        pl.lit(1, pl.Int64).alias("pass"),
    )  # fmt: skip
    for name, frame in (("seeds", seeds), ("tagged", tagged), ("sampled", sampled)):
        frame.write_parquet(folder / f"{name}.parquet")
    asked = sampled.select("id", "question")
    asked.write_parquet(folder / "questions.parquet")
    rollouts = make_frame(
        make_rollout("q1", 0, answer=WRONG),
        make_rollout("q1", 1, queries=(("city Oslo",), ("capital of Norway",))),
        {**make_rollout("q1", 2), "lineage": {**LINEAGE, "seed": 7}},
    )
    curated, verdicts = curate_rollouts(rollouts, Curate(rules=RULES))
    schemas.write_table(rollouts, folder / "trajectories.parquet", schemas.Trajectories)
    schemas.write_table(curated, folder / "curated.parquet", schemas.Curated)
    schemas.write_table(verdicts, folder / "curation.parquet", schemas.Verdicts)
    reader = "Oslo\nIt is a city.\n\nQuestion: What is the capital?\nAnswer:"
    records = [
        [{"from": "human", "value": "What is the capital?"}, {"from": "gpt", "value": "Oslo"}],
        [{"from": "human", "value": reader}, {"from": "gpt", "value": "Oslo"}],
        [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hello"}],
    ]
    write_json(
        [{"conversations": turns, "system": "s"} for turns in records], folder / "sft_dataset.json"
    )
    origins = {name: {"records": 1} for name in ("search", "reader", "mixed")}
    write_json({"records": 3, "origins": origins}, folder / "sft_report.json")
    predictions = make_predictions([("test", "t1", "Oslo"), ("test_closed_book", "t1", "")])
    schemas.write_table(predictions, folder / "predictions.parquet", schemas.Predictions)
    scores = make_scores([True]).with_columns(split=pl.lit("test"), question_id=pl.lit("t1"))
    schemas.write_table(scores, folder / "scores.parquet", schemas.Scores)
    write_json([{"id": "t1", "predicted_answer": "Oslo"}], folder / "test.json")
    write_json({"test": {"em_strict": 1.0}}, folder / "metrics.json")
    price = {"teacher": {"price": {"prompt": 1, "completion": 2}}}
    write_json({"cache": str(folder.parent / "cache"), "models": price}, folder / SETTINGS_FILE)
    fill_cache(folder, rollouts.row(2, named=True))
    return folder


def fill_cache(folder, row):
    """The answers to the requests of one rollout of two turns."""
    config = Results(folder).config
    role = make_role(config, "teacher", config.trajectories.sampling, "r")
    cache = RequestCache(config.cache, "trajectories")
    turns = list_requests(row["messages"], 7, role, open_format("tags", role))
    for asked in turns:
        answer = {"text": "x", "finish_reason": "stop", "model": "m", "seconds": 0.25}
        cache.put(asked.keys[0], {**answer, "prompt_tokens": 500_000, "completion_tokens": 250_000})
    cache.close()


def tell(folder, key):
    """The chapters of a story by title, and its text."""
    story = tell_story(Results(folder), key)
    return {chapter.title: chapter for chapter in story.chapters}, format_story(story)


def test_a_kept_rollout_tells_everything_from_its_seed_to_its_record(folder):
    chapters, text = tell(folder, "q1#2")
    assert [*chapters] == [
        "training question", "tags and sampling", "rollout", "turns", "requests", "curation",
        "training data", "the student",
    ]  # fmt: skip
    assert chapters["training question"].facts["given in"].endswith("train.json: row 1")
    assert "number 1, from city in pass 1" in text
    said = dict(chapters["turns"].texts)
    assert said["  searches"] == "capital of Norway" and said["  answers"] == "Oslo"
    assert said["  sources"] == "1" and "founded in 1,040" in said["  reads"]
    assert chapters["curation"].facts["kept"] is True
    assert {row["rule"]: row["verdict"] for row in chapters["curation"].rows} == {
        "exact_match": "passed", "turns": "passed",
    }  # fmt: skip
    assert "record 0 of 1 from 0" in chapters["training data"].facts["record"][0]
    assert "asked" in chapters["the student"].facts


def test_requests_are_told_with_tokens_dollars_seconds_and_file(folder):
    requests = tell(folder, "q1#2")[0]["requests"]
    assert requests.facts["dollars"] == 2 * (0.5 * 1 + 0.25 * 2)
    assert [(row["turn"], row["seconds"], row["in"]) for row in requests.rows] == [
        (1, 0.25, "trajectories"), (2, 0.25, "trajectories"),
    ]  # fmt: skip
    missing = tell(folder, "q1#0")[0]["requests"]
    assert missing.rows == [] and missing.facts["not found"] == {"read": 1, "written": 1}


def test_the_request_of_a_judge_is_told_with_its_verdict(folder, httpserver):
    """As the stage itself asked it: the key is made anew from the tables and the prompt."""
    httpserver.expect_request("/v1/chat/completions").respond_with_json(
        chat('{"reason": "It says Oslo.", "correct": true}')
    )
    config = Results(folder).config
    role = make_role(config, "judge", config.judge.sampling)
    cache = RequestCache(config.cache, "judge")
    client = ModelClient(role, httpserver.url_for("/v1"), cache)
    predictions = schemas.read_table(folder / "predictions.parquet", schemas.Predictions)
    golds = {"test": pl.DataFrame({"id": ["t1"], "golden_answers": [["Oslo"]]})}
    rows = select_answers(predictions, golds, {"test": "test"})
    system = render_prompt(ROOT / "config/prompts/judge.jinja")
    judged, _ = asyncio.run(judge_predictions(rows, system, client, config.judge))
    cache.close()
    schemas.write_table(judged, folder / "judgements.parquet", schemas.Judgements)
    facts = tell(folder, "t1")[0]["the student"].facts
    (folder / "judgements.parquet").unlink()
    assert facts["judge test"] == "True: It says Oslo."
    told = facts["judge test: request"]
    assert (told["read"], told["written"], told["in"]) == (5, 2, "judge")
    assert "judge.jinja" in facts["judge test: asked"]
    assert not any(name.startswith("judge test_closed_book: ") for name in facts)


def test_a_dropped_rollout_says_by_which_rule_and_one_that_is_only_worse_which_is_better(folder):
    wrong = tell(folder, "q1#0")[0]
    assert wrong["curation"].facts["failed"] == ["exact_match"]
    assert wrong["training data"].facts["record"].startswith("none")
    assert tell(folder, "q1#1")[0]["curation"].facts["behind"] == ["q1#2"]


def test_a_question_lists_its_rollouts_and_tells_the_kept_one(folder):
    chapters, text = tell(folder, "q1")
    assert [row["kept"] for row in chapters["rollouts"].rows] == [False, False, True]
    assert chapters["rollout"].facts["id"] == "q1#2"
    assert text.startswith("q1: a training question")


def test_what_was_dropped_on_the_way_says_where_and_why(folder):
    copy = tell(folder, "copy")[0]
    assert copy["training question"].facts["as a seed"] == "dropped: equal_in_test, repeats t1"
    chosen = tell(folder, "q2")[0]
    assert chosen["tags and sampling"].facts["sampled"].startswith("dropped")
    assert "not chosen" in chosen["rollouts"].facts["rollouts"]


def test_an_evaluation_question_tells_the_answer_and_its_scores(folder):
    chapters, text = tell(folder, "t1")
    assert chapters["test question"].facts["type"] == "single_hop"
    assert chapters["test question"].facts["seeds dropped"] == ["copy (repeats it)"]
    rows = chapters["the student"].rows
    assert [(row["split"], row["EM"]) for row in rows] == [
        ("test", True),
        ("test_closed_book", None),
    ]
    assert "'Oslo' (right)" in text and "answer 0 from 0" in text
    assert "the student" in tell(folder, "test/t1#0")[0]


def test_a_record_is_addressed_by_its_place_and_rows_behind_the_rollouts_name_theirs(folder):
    assert tell(folder, "sft_dataset.json:0")[1].startswith(
        "sft_dataset.json:0: the record of rollout q1#2"
    )
    assert tell(folder, "sft_dataset.json:1")[0]["record"].facts["made of"] == ["q1#2"]
    assert "mixed in" in tell(folder, "sft_dataset.json:2")[1]
    with pytest.raises(InputError, match="has no record 3, counted from 0"):
        tell(folder, "sft_dataset.json:3")
    with pytest.raises(InputError, match="give the record's number"):
        tell(folder, "sft_dataset.json:x")


def test_a_reader_who_has_seen_enough_is_no_fault(folder):
    command = f"{sys.executable} {ROOT / 'scripts/explain.py'} q1 --results {folder} | true"
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_unknown_id_names_the_closest(folder):
    with pytest.raises(InputError, match=r"nothing has the id 'q1#7'; the closest: 'q1#\d'"):
        tell(folder, "q1#7")
    ended = run_script("explain", "cpoy", "--results", folder)
    assert ended.returncode == 1 and "the closest: 'copy'" in ended.stderr
    ended = run_script("explain", "x", "--results", folder / "gone")
    assert ended.returncode == 1 and "no such folder" in ended.stderr


def test_what_is_not_built_is_said(folder, tmp_path):
    write_json([make_question("q1")], tmp_path / "world/train.json")
    chapters, _ = tell(tmp_path, "q1")
    assert chapters["training question"].facts["as a seed"] == "not built yet"
    assert chapters["rollouts"].facts["rollouts"] == "not built yet"


def test_json_has_whole_texts_and_only_plain_characters(folder):
    ended = run_script("explain", "q1#0", "--results", folder, "--json")
    assert ended.returncode == 0, ended.stderr
    assert "\x1b" not in ended.stdout
    story = json.loads(ended.stdout)
    turns = next(each for each in story["chapters"] if each["title"] == "turns")
    assert ["  answers", WRONG] in turns["texts"]


@pytest.mark.parametrize("text", hostile.TEXTS.values(), ids=hostile.TEXTS)
def test_hostile_texts_are_shown_as_text_within_the_width(tmp_path, text):
    row = make_rollout("q", 0, answer=text, asked=text, passage=text, think=text)
    schemas.write_table(make_frame(row), tmp_path / "trajectories.parquet", schemas.Trajectories)
    _, shown = tell(tmp_path, "q#0")
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    for line in shown.split("\n"):
        assert len(line) <= WIDTH and not {unicodedata.category(each) for each in line} & hidden
    assert len(shown) < 12_000
    write_json([make_question(text)], tmp_path / "world/train.json")
    with pytest.raises(InputError) as caught:
        tell(tmp_path, f"{text[:50]}?")
    assert len(str(caught.value)) < 1500 and "\x1b" not in str(caught.value)


def test_settings_are_those_of_the_run_else_the_defaults(folder, tmp_path):
    assert Results(folder).config.models.teacher.price.completion == 2
    assert Results(tmp_path).settings is None and Results(tmp_path).config == Config()
