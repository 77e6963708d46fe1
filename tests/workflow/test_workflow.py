"""The workflow as its users meet it: one build, then what is stale after which change.

The tests share one small build (`built`), because a build takes minutes; one that changes it
takes a copy (`own`).
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from helpers.checkout import ROOT, TARGET, copy_repository
from helpers.commands import place_results, run_pages
from helpers.conversations import make_student
from helpers.pages import list_pages
from helpers.processes import find_processes, wait_until
from searchtrain.core.files import hash_file, read_json
from searchtrain.data import schemas
from searchtrain.training.records import list_messages
from searchtrain.training.served import Served, read_options

QUESTIONS = {"tag", "sample", "questions"}
EXPORT = {"curate", "sft_dataset"}
DATA = {"trajectories"} | EXPORT
LEDGER = "out/cache/scripted_teacher.ledger"
VIEW = ROOT / ".venv-view/bin/python"
STUDENT = {"checkpoint", "predict", "metrics"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The small build; everything up to test.json."""
    checkout = copy_repository(tmp_path_factory.mktemp("small"))
    ended = checkout.run(TARGET)
    assert ended.returncode == 0, ended.stdout[-6000:]
    assert checkout.left_machine() == ""
    return checkout


def test_default_configuration_dry_run(checkout):
    ended = checkout.run("--dry-run", "--quiet", "rules")
    assert ended.returncode == 0, ended.stdout


def test_the_data_of_a_build_are_exported_and_nothing_else_is_done(own):
    assert own.plan(target="out/results/export") == {"export"}
    ended = own.run("out/results/export")
    assert ended.returncode == 0, ended.stdout[-6000:]
    folder = own.path / "out/results/export"
    records = read_json(folder.parent / "sft_dataset.json")
    for form in ("openai", "tool_calls"):
        chats = (folder / form / "train.jsonl").read_text().splitlines()
        assert len(chats) == len(records)
    assert "license: cc-by-4.0" in (folder / "README.md").read_text()
    assert own.plan(target="out/results/export") == set()


def test_the_build_has_answers_in_the_order_of_the_test_file(built):
    results = built.path / "out/results"
    asked = read_json(results / "world/test.json")
    answers = read_json(results / "test.json")
    assert [row["id"] for row in answers] == [row["id"] for row in asked]
    assert all(set(row) == {"id", "predicted_answer"} for row in answers)
    metrics = read_json(results / "metrics.json")
    baselines = {"test_closed_book", "test_untrained", "test_retrieve_read"}
    assert set(metrics) == {"dev", "test", *baselines, "test_json"}
    assert metrics["test_json"]["answers"] == 12
    assert metrics["test"]["n"] == 12 and metrics["dev"]["n"] == 8
    assert {"em_strict", "em_normalised", "f1", "mean_searches", "by_type"} <= set(metrics["test"])
    assert metrics["test_closed_book"]["mean_searches"] == 0
    assert metrics["test_retrieve_read"]["mean_searches"] == 1


def test_the_artefacts_fit_their_schemas(built):
    results = built.path / "out/results"
    tables = {
        "seeds": schemas.Seeds, "tagged": schemas.Tagged, "sampled": schemas.Sampled,
        "questions": schemas.Questions, "trajectories": schemas.Trajectories,
        "curated": schemas.Curated, "curation": schemas.Verdicts,
        "predictions": schemas.Predictions,
    }  # fmt: skip
    for name, table in tables.items():
        assert schemas.read_table(results / f"{name}.parquet", table).height > 0
    manifest = read_json(results / "checkpoint/manifest.json")
    assert manifest["data"] == hash_file(results / "sft_dataset.json")
    assert [point["step"] for point in manifest["loss"]] == [2, 4, 6, 8, 10, 12]
    assert manifest["packages"]["llamafactory"] == "0.9.5"


def test_every_kind_of_id_has_its_story_with_all_its_requests(built):
    results = built.path / "out/results"
    questions = pl.read_parquet(results / "questions.parquet")
    rollouts = pl.read_parquet(results / "trajectories.parquet")
    predictions = pl.read_parquet(results / "predictions.parquet")
    kept = pl.read_parquet(results / "curated.parquet")["id"].to_list()
    dropped = next(key for key in rollouts["id"] if key not in kept)
    ids = [questions["id"][0], kept[0], dropped, "test-00001", "dev/dev-00001#0",
           "test_closed_book/test-00002#0", f"sft_dataset.json:{len(kept) - 1}"]  # fmt: skip
    stories = {}
    for key in ids:
        ended = subprocess.run(
            [sys.executable, "scripts/explain.py", key, "--results", "out/results", "--json"],
            cwd=built.path, capture_output=True, text=True, env=built.environment(),
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        chapters = {each["title"]: each for each in json.loads(ended.stdout)["chapters"]}
        assert chapters["requests"]["facts"]["not found"] is None, key
        assert chapters["requests"]["rows"][0]["seconds"] is not None
        assert "as the file is now" in chapters["rollout"]["facts"]["prompt"]
        stories[key] = chapters
    tagging = stories[questions["id"][0]]["tags and sampling"]["facts"]
    assert tagging["request"]["paid for"] and "tag.jinja" in tagging["asked"]
    assert stories[ids[-1]]["rollout"]["facts"]["id"] == kept[-1]
    assert stories[dropped]["curation"]["facts"]["kept"] is False
    counts = dict(zip(predictions["id"], predictions["prompt_tokens"], strict=True))
    told = stories["dev/dev-00001#0"]["requests"]["facts"]["tokens"]["read"]
    assert told == counts["dev/dev-00001#0"]
    assert read_json(results / "config.json")["world"]["sizes"]["train"] == 120


def test_the_student_reads_in_training_what_it_reads_when_served(built):
    """Token for token, with nothing but the student's own turns trained (design 4)."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer
    from transformers import AutoTokenizer

    results = built.path / "out/results"
    recipe = yaml.safe_load((results / "checkpoint/sft.yaml").read_text())
    # One record a row, in this process: packing only puts rows one behind the other.
    del recipe["neat_packing"], recipe["ddp_backend"]
    recipe |= {
        "model_name_or_path": str(results / "world/base"),
        "dataset_dir": str(results),
        "output_dir": str(built.path / "unused"),
    }
    model_args, data_args, training_args, _, _ = get_train_args(recipe)
    loaded = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(loaded["tokenizer"], data_args)
    trained = get_dataset(template, model_args, data_args, training_args, stage="sft", **loaded)[
        "train_dataset"
    ]
    tokenizer = AutoTokenizer.from_pretrained(results / "checkpoint")
    served = Served(tokenizer, read_options(make_student(), "tags"))
    records = read_json(results / "sft_dataset.json")
    assert len(trained) == len(records) > 50
    for row, record in zip(trained, records, strict=True):
        messages = list_messages(record)
        assert row["input_ids"] == render(tokenizer, messages)
        own = set()
        for place, message in enumerate(messages):
            if message["role"] == "assistant":
                asked = render(tokenizer, messages[:place], add_generation_prompt=True)
                said = render(tokenizer, messages[: place + 1])
                assert row["input_ids"][: len(asked)] == asked
                own |= set(range(len(asked), len(said)))
        labels = {place for place, label in enumerate(row["labels"]) if label != -100}
        assert labels == own
        assert all(row["labels"][place] == row["input_ids"][place] for place in own)
        assert any(message["role"] == "tool" for message in messages)
        # And what the check before the training compares with is just that.
        encoded = served.encode(messages)
        assert encoded.ids == row["input_ids"]
        assert {place for place, mine in enumerate(encoded.own) if mine} == own


def test_no_server_is_left(built):
    assert not list((built.path / "out/results/.serve").glob("*.json"))
    # Snakemake tells a service to stop and does not wait for it.
    wait_until(lambda: not find_processes(built.path))


def test_second_run_has_nothing_to_do(built):
    ended = built.run(TARGET)
    assert ended.returncode == 0 and "Nothing to be done" in ended.stdout


@pytest.mark.skipif(not VIEW.exists(), reason="needs .venv-view (make setup-view)")
def test_transcripts_are_made_of_the_tables_that_there_are(own):
    """As `make view` has it: nothing else is built, whatever is stale."""
    (own.path / "out/results/metrics.json").unlink()
    command = ["out/results/transcripts", "--allowed-rules", "transcripts"]
    command += ["--config", f"view={{python: {VIEW}}}"]
    ended = own.run(*command)
    assert ended.returncode == 0, ended.stdout[-3000:]
    files = read_json(own.path / "out/results/transcripts/manifest.json")["files"]
    assert {each["name"]: each["rollouts"] for each in files} == {
        "teacher's rollouts": 100,
        "student on dev": 8,
        "student on test": 12,
        "student on test, without searching": 12,
        "untrained base on test, searching with the teacher's instructions": 12,
        "untrained base on test, after one search": 12,
    }
    assert "Nothing to be done" in own.run(*command).stdout
    assert not (own.path / "out/results/metrics.json").exists()


def test_touching_files_reordering_keys_and_comments_make_nothing_stale(own):
    for prompt in (own.path / "config/prompts").iterdir():
        prompt.touch()
    own.edit(
        "tests/workflow/small.yaml", "total: 100, min_domain: 10", "min_domain: 10, total: 100"
    )
    own.edit("config/config.yaml", "    k1: 0.9", "    k1: 0.9  # a remark: ")
    module = own.path / "scripts/searchtrain/curation/choice.py"
    module.write_text("# a remark\n" + module.read_text())
    ended = own.run("--dry-run", TARGET)
    assert "Nothing to be done" in ended.stdout, ended.stdout


def test_budget_and_rates_make_nothing_stale(built):
    overlay = built.path / "budget.yaml"
    rates = {"teacher": {"prompt": 1000, "output": 100}}
    overlay.write_text(json.dumps({"task": {"budget_hours": 24}, "plan": {"rates": rates}}))
    ended = built.run("--dry-run", TARGET, configfiles=[str(overlay)])
    assert "Nothing to be done" in ended.stdout, ended.stdout


def test_concurrency_and_supervisor_make_nothing_stale(own):
    own.edit("config/config.yaml", "concurrency: 32", "concurrency: 8")
    serve = own.path / "scripts/serve.py"
    serve.write_text(serve.read_text() + "\nUNUSED = 1\n")
    assert own.plan() == set()


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("config/prompts/tag.jinja", "questions", "queries", QUESTIONS | DATA | STUDENT),
        ("config/prompts/agent_teacher.jinja", "short sentences", "sentences", DATA | STUDENT),
        ("config/prompts/agent.jinja", "short answer", "brief answer", DATA | STUDENT),
        ("config/config.yaml", "turn_words: 60", "turn_words: 61", EXPORT | STUDENT),
        ("config/config.yaml", "min_domain: 100", "min_domain: 100 ", set()),
        ("tests/workflow/small.yaml", "max_steps: 12", "max_steps: 13", STUDENT),
        (
            "scripts/searchtrain/training/sharegpt.py", '"human"', '"user"',
            {"sft_dataset"} | STUDENT,
        ),
        (
            "scripts/searchtrain/evaluation/metrics.py", "import logging", "import logging\nX = 1",
            {"metrics"},
        ),
    ],
)  # fmt: skip
def test_a_change_reruns_its_stage_and_what_follows(built, file, old, new, stale):
    before = (built.path / file).read_text()
    built.edit(file, old, new)
    try:
        assert built.plan() == stale
    finally:
        (built.path / file).write_text(before)


def test_a_second_clone_builds_the_same_training_data(built, tmp_path):
    other = copy_repository(tmp_path)
    dataset = "out/results/sft_dataset.json"
    ended = other.run(dataset)
    assert ended.returncode == 0, ended.stdout[-4000:]
    assert (other.path / dataset).read_bytes() == (built.path / dataset).read_bytes()


@pytest.mark.parametrize("interrupt", ["kill -9 of Snakemake", "Ctrl-C"])
def test_an_interrupted_run_goes_on_and_pays_for_nothing_twice(tmp_path, interrupt):
    checkout = copy_repository(tmp_path)
    target = "out/results/trajectories.parquet"
    ended = checkout.run("out/results/sampled.parquet", "out/results/index")
    assert ended.returncode == 0, ended.stdout[-4000:]
    ledger = checkout.path / LEDGER
    tagged = count_lines(ledger)
    run = subprocess.Popen(
        checkout.command(target), cwd=checkout.path, env=checkout.environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: count_lines(ledger) > tagged + 40)
    if interrupt == "Ctrl-C":
        os.killpg(run.pid, signal.SIGINT)
    else:
        run.send_signal(signal.SIGKILL)
    run.wait()
    wait_until(lambda: not find_processes(checkout.path))
    answered = count_lines(ledger)
    assert not (checkout.path / target).exists(), "the run ended before it was interrupted"
    ended = checkout.run(target)
    assert ended.returncode == 0, ended.stdout[-4000:]
    lines = ledger.read_text().splitlines()
    assert len(lines) > answered
    assert len(lines) == len(set(lines)), "a request was answered twice"
    wait_until(lambda: not find_processes(checkout.path))


def test_ten_more_questions_cost_ten_questions(tmp_path):
    checkout = copy_repository(tmp_path)
    assert checkout.run("out/results/world/train.json").returncode == 0
    questions = read_json(tmp_path / "out/results/world/train.json")
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("data: {train: mine.json}")
    costs = []
    for number in (60, 70):
        (tmp_path / "mine.json").write_text(json.dumps(questions[:number]))
        ended = checkout.run("out/results/trajectories.parquet", configfiles=[str(overlay)])
        assert ended.returncode == 0, ended.stdout[-4000:]
        costs.append(count_lines(tmp_path / LEDGER))
    # At least a tag and two turns for a question, at most a repaired tag and six turns.
    assert costs[0] > 3 * 60 * 0.8
    assert 3 * 10 * 0.8 < costs[1] - costs[0] <= 8 * 10


def test_killed_training_goes_on_from_its_saved_state(own):
    target = "out/results/checkpoint"
    overlay = own.path / "long.yaml"
    overlay.write_text("train: {args: {max_steps: 60, save_steps: 5, logging_steps: 1}}")
    work = own.path / "out/results/.partial/train"
    runs = set(work.iterdir())
    run = subprocess.Popen(
        own.command(target, configfiles=[str(overlay)]), cwd=own.path,
        env=own.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: any(work.glob("*/checkpoint-2?")), seconds=900)
    run.send_signal(signal.SIGKILL)
    run.wait()
    wait_until(lambda: not find_processes(own.path))
    ended = own.run(target, configfiles=[str(overlay)])
    assert ended.returncode == 0, ended.stdout[-4000:]
    assert "going on from" in ended.stdout
    [run_dir] = set(work.iterdir()) - runs
    steps = [json.loads(line) for line in (run_dir / "trainer_log.jsonl").open()]
    seen = [step["current_steps"] for step in steps if "loss" in step]
    assert seen.count(1) == 1, "training began again at the first step"
    assert seen[-1] == 60


def test_a_real_test_file_needs_no_answers_and_the_base_answers_dev(built, tmp_path):
    overlay = tmp_path / "real.yaml"
    overlay.write_text("data: {test_answers: null, types: null}")
    plan = built.run(TARGET, "--dry-run", "--printshellcmds", configfiles=[str(overlay)]).stdout
    assert "--splits dev test --prompt config/prompts/agent.jinja" in plan
    assert (
        "--splits dev_untrained dev_retrieve_read --prompt config/prompts/agent_teacher.jinja"
        in plan
    )
    assert "--test-answers" not in plan


@pytest.fixture(scope="module")
def documented(built, tmp_path_factory):
    """What became of the commands of all pages, where results/ is built."""
    checkout = built.copy(tmp_path_factory.mktemp("documented") / "searchtrain")
    place_results(checkout)
    return run_pages(checkout, list_pages())


@pytest.mark.parametrize("page", list_pages())
def test_the_commands_of_a_page_run(documented, page):
    failed = {command: output for command, (code, output) in documented[page].items() if code}
    assert not failed


def render(tokenizer, messages: list[dict[str, str]], **options) -> list[int]:
    text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def count_lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0
