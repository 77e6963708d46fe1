"""GRPO by TRL itself: what is learnt, what is masked, what is saved. Runs in TRL's environment."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch
from werkzeug import Response

from helpers.library import OSLO, TASK, Library
from helpers.scribe import Scribe, roll
from helpers.worlds import CONFIG, WORLD
from searchtrain import config
from searchtrain.agent import grammar, loop
from searchtrain.config import Grpo, Limits
from searchtrain.core.errors import InputError, Interrupted, SearchTrainError
from searchtrain.data import schemas
from searchtrain.demo import base, world

pytest.importorskip("trl", "1.16.0", reason="make test runs this file in .venv-trl")

from transformers import AutoModelForCausalLM, AutoTokenizer

from searchtrain.rl import trainer as rl
from searchtrain.rl.batches import pack_batches
from searchtrain.rl.trainer import Trainer, draw_prompts, make_arguments

ROOT = Path(__file__).parents[2]
SEARCH = grammar.render_turn("Oslo?", queries=["Oslo"])
ANSWERS = [grammar.render_turn("Found.", answer=name) for name in ("Norway", "Sweden")]
SETTINGS = {
    "steps": 4, "prompts_per_step": 2, "group_size": 8, "temperature": 1.0, "top_p": 1.0,
    "max_new_tokens": 32, "learning_rate": 1e-3, "beta": 0.0, "save_steps": 2,
}  # fmt: skip
ARGS = {
    "use_cpu": True, "bf16": False, "gradient_checkpointing": False, "loss_type": "grpo",
    "lr_scheduler_type": "constant", "per_device_train_batch_size": 8,
}  # fmt: skip
NUMBERS = ("rollout_seconds", "update_seconds")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny model that searches, then says Norway or Sweden as the fancy takes it."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("grpo")
    world.write_world(folder, config.World(**WORLD))
    base.write_base(
        folder / "model", folder / "passages.jsonl", folder / "train.json", config.Base(**CONFIG)
    )
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    said = roll(Scribe(tokenizer, *([SEARCH, answer] for answer in ANSWERS)), tokenizer)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(120):
        for tokens in (rollout.tokens for rollout in said):
            ids = torch.tensor([tokens.prompt_ids + tokens.completion_ids])
            written = torch.tensor([[0] * len(tokens.prompt_ids) + tokens.mask])
            loss = model(ids, labels=ids.masked_fill(written == 0, -100)).loss
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder / "model")
    return folder / "model"


def make_questions(count=3):
    rows = {
        "id": [f"q{number}" for number in range(count)],
        "question": [TASK.question] * count,
        "golden_answers": [["Norway"]] * count,
        "source": ["test"] * count,
        "exclude_urls": [[]] * count,
        "origin": ["seed"] * count,
        "vertices": [0] * count,
        "levels": [[]] * count,
    }
    return pl.DataFrame(rows, schema=schemas.empty_table(schemas.Questions).schema)


def open_trainer(folder, work, library=None, args=None, **changes):
    settings = Grpo(**{**SETTINGS, **changes, "args": {**ARGS, **(args or {})}})
    harness = loop.Harness("Answer briefly.", "digest", Limits(max_turns=3, topk=1))
    return Trainer(folder, make_questions(), harness, library or Library(), settings, work)


def forget_times(history):
    return [{key: row[key] for key in row if key not in NUMBERS} for row in history]


# What is learnt.


def test_the_rewarded_answer_becomes_the_likelier_one(folder, tmp_path):
    trainer = open_trainer(folder, tmp_path, steps=30, learning_rate=2e-3)
    before = read_weights(trainer)
    history = trainer.train()
    rewards = [row["reward"] for row in history]
    assert [row["step"] for row in history] == list(range(1, 31))
    assert sum(rewards[:5]) / 5 < 0.65
    assert sum(rewards[-5:]) / 5 > 0.8
    assert history[0]["searches"] > 0.5
    assert not torch.equal(before, read_weights(trainer))
    trainer.save(tmp_path / "model")
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert torch.equal(flatten(saved.parameters()), read_weights(trainer))


def test_without_a_difference_in_reward_nothing_is_learnt(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("searchtrain.rl.rollouts.score_rollout", lambda row, match: 1.0)
    trainer = open_trainer(folder, tmp_path, steps=1)
    before = read_weights(trainer)
    (step,) = trainer.train()
    assert step["no_signal"] == 1
    assert torch.equal(before, read_weights(trainer))


def test_the_divergence_from_the_start_is_measured_and_held_back(folder, tmp_path):
    free = open_trainer(folder, tmp_path / "free", beta=1e-9).train()
    held = open_trainer(folder, tmp_path / "held", beta=3.0).train()
    assert free[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert free[-1]["kl"] > 2 * held[-1]["kl"] > 0


def read_weights(trainer):
    return flatten(trainer.trl.model.parameters())


def flatten(tensors):
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


# What is masked.


@pytest.fixture
def batch(folder, tmp_path):
    """A trainer and a step's batch as TRL made it of two groups of rollouts, before it is cut."""
    trainer = open_trainer(folder, tmp_path, args={"per_device_train_batch_size": 4})
    parts = []

    def keep(made, leave_out):
        parts.extend(made)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rl, "pack_batches", keep)
        trainer.trl.model.train()
        trainer.trl.current_gradient_accumulation_steps = 4
        trainer.trl._prepare_inputs([{"prompt": str(row)} for row in (0, 1) for _ in range(8)])
    assert len(parts) == 4
    return trainer, parts


def measure(trainer, parts):
    """The loss of a step and its gradient."""
    model = trainer.trl.model
    model.zero_grad()
    loss = sum(trainer.trl.compute_loss(model, dict(part)) for part in parts)
    loss.backward()
    gradient = flatten(weight.grad for weight in model.parameters())
    model.zero_grad()
    return loss.item(), gradient


def change(parts, name, edit):
    return [{**part, name: edit(part[name].clone(), part)} for part in parts]


def test_the_mask_is_on_what_the_model_wrote(batch):
    trainer, parts = batch
    tokenizer = trainer.trl.processing_class
    for part in parts:
        rows = zip(part["completion_ids"], part["completion_mask"], part["tool_mask"], strict=True)
        for ids, there, mask in rows:
            written = tokenizer.decode(ids[(there * mask).bool()])
            masked = tokenizer.decode(ids[(there * (1 - mask)).bool()])
            assert "<information>" in masked and "<information>" not in written
            assert "<answer>" in written and "<think>" not in masked


def test_observations_change_neither_loss_nor_gradient(batch):
    """Their log-probabilities do not count, be they what they may."""
    trainer, parts = batch
    loss, gradient = measure(trainer, parts)
    original = trainer.trl._get_per_token_logps_and_entropies
    seen = []

    def disturb(self_model, *args, **kwargs):
        logps, *rest = original(self_model, *args, **kwargs)
        part = parts[len(seen) % len(parts)]
        seen.append(part)
        noise = torch.randn_like(logps) * (1 - part["tool_mask"] * part["completion_mask"])
        scale = 1 + 3 * (1 - part["tool_mask"] * part["completion_mask"])
        return logps * scale + noise, *rest

    trainer.trl._get_per_token_logps_and_entropies = disturb
    disturbed, other = measure(trainer, parts)
    assert seen
    assert disturbed == pytest.approx(loss, abs=1e-7)
    torch.testing.assert_close(other, gradient)


def test_an_observation_after_the_last_turn_may_be_anything(batch):
    """Where nothing reads them, other tokens in an observation's place make no difference."""
    trainer, parts = batch
    extended = []
    for part in parts:
        rows, _ = part["completion_ids"].shape
        more = {
            "completion_ids": torch.full((rows, 9), 40), "completion_mask": torch.ones(rows, 9),
            "tool_mask": torch.zeros(rows, 9), "sampling_per_token_logps": torch.zeros(rows, 9),
        }  # fmt: skip
        added = {
            name: torch.cat([part[name], value.to(part[name].dtype)], 1)
            for name, value in more.items()
        }
        extended.append({**part, **added})

    def replace(ids, part):
        ids[:, -9:] = 77
        return ids

    loss, gradient = measure(trainer, extended)
    changed = measure(trainer, change(extended, "completion_ids", replace))
    assert changed[0] == loss
    torch.testing.assert_close(changed[1], gradient)
    assert measure(trainer, parts)[0] == pytest.approx(loss, abs=1e-6)
    # The test can fail: with these tokens taken for the model's, the gradient is another one.
    bare = change(extended, "tool_mask", lambda mask, part: torch.ones_like(mask))
    assert not torch.allclose(measure(trainer, bare)[1], gradient)


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo"])
@pytest.mark.parametrize("leave_out", [True, False])
def test_parts_cut_by_length_have_the_same_gradient(batch, leave_out, loss_type):
    trainer, parts = batch
    trainer.trl.loss_type = loss_type

    def shorten(mask, part):
        for row, length in enumerate(range(60, 60 - 7 * len(mask), -7)):
            mask[row, length:] = 0
        return mask

    parts = change(parts, "completion_mask", shorten)
    parts[1]["advantages"] = torch.zeros_like(parts[1]["advantages"])
    packed = pack_batches(parts, leave_out)
    loss, gradient = measure(trainer, parts)
    other_loss, other = measure(trainer, packed)
    assert other_loss == pytest.approx(loss, abs=1e-6)
    torch.testing.assert_close(other, gradient, atol=1e-6, rtol=1e-4)
    assert gradient.abs().max() > 1e-3
    widths = [part["completion_ids"].shape[1] for part in packed]
    assert widths == sorted(widths) and widths[0] < parts[0]["completion_ids"].shape[1]
    assert (widths[0] == 1) == leave_out


def test_the_trainers_logprobs_are_those_of_the_draw(batch):
    trainer, parts = batch
    for part in parts:
        ids = torch.cat([part["prompt_ids"], part["completion_ids"]], 1)
        there = torch.cat([part["prompt_mask"], part["completion_mask"]], 1)
        width = part["completion_ids"].shape[1]
        with torch.no_grad():
            logps, _, _ = trainer.trl._get_per_token_logps_and_entropies(
                trainer.trl.model, ids, there, width
            )
        written = (part["completion_mask"] * part["tool_mask"]).bool()
        drawn = part["sampling_per_token_logps"]
        torch.testing.assert_close(logps[written], drawn[written], atol=1e-3, rtol=1e-3)


# Runs that end and go on.


class Bell(Library):
    """A search that tells this process to stop at one of its searches."""

    def __init__(self, place):
        super().__init__()
        self.place = place

    async def search(self, queries, topk, exclude=()):
        found = await super().search(queries, topk, exclude)
        if len(self.asked) == self.place:
            os.kill(os.getpid(), signal.SIGTERM)
        return found


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(folder, tmp_path):
    whole = open_trainer(folder, tmp_path / "whole")
    history = whole.train()
    with pytest.raises(Interrupted, match="run the same command"):
        open_trainer(folder, tmp_path / "cut", Bell(20)).train()
    again = open_trainer(folder, tmp_path / "cut")
    assert forget_times(again.train()) == forget_times(history)
    assert 0 < again.model.usage["requests"] < whole.model.usage["requests"]
    assert torch.equal(read_weights(again), read_weights(whole))


def test_a_search_that_fails_ends_the_run(folder, tmp_path):
    with pytest.raises(SearchTrainError, match=r"grpo\.max_failed_share"):
        open_trainer(folder, tmp_path, Library(fails=True)).train()


# Settings.


def test_prompts_come_again_only_when_all_have_come():
    settings = Grpo(steps=5, prompts_per_step=4, questions=8, seed=3)
    rows = draw_prompts(100, settings)
    assert len(rows) == 20
    assert len(set(rows[:8])) == len(set(rows[8:16])) == len(set(rows)) == 8
    assert rows == draw_prompts(100, settings)
    assert rows[:8] != rows[8:16]
    assert len(set(draw_prompts(6, settings))) == 6


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"group_size": 1}, "grpo.group_size: 1 is not allowed; it must be a whole number of at"),
        ({"temperature": 0.0}, "grpo.temperature"),
        ({"args": {"learning_rate": 1.0, "seed": 2}}, "grpo.args: learning_rate, seed"),
        ({"args": {"per_device_train_batch_size": 7}}, "16, which"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, complaint, tmp_path):
    with pytest.raises(InputError) as caught:
        make_arguments(Grpo.parse({**SETTINGS, **changes}, "grpo"), tmp_path, 1)
    assert complaint in str(caught.value)


def test_an_argument_that_trl_does_not_know_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match=r"grpo: TRL does not take these settings: .*colour"):
        open_trainer(folder, tmp_path, args={"colour": "blue"})


def test_a_step_is_one_batch_however_it_is_cut(tmp_path):
    settings = Grpo(**{**SETTINGS, "args": {"per_device_train_batch_size": 2}})
    arguments = make_arguments(settings, tmp_path, 2)
    assert arguments["gradient_accumulation_steps"] * 2 * 2 == 2 * 8
    engine = Grpo(**SETTINGS, vllm={"gpu_memory_utilization": 0.3})
    arguments = make_arguments(engine, tmp_path, 1)
    assert arguments["use_vllm"] and arguments["vllm_gpu_memory_utilization"] == 0.3


# The script.


def test_the_script_writes_a_model_and_its_history(folder, tmp_path, httpserver):
    def retrieve(request):
        hits = [{"document": OSLO, "score": 1.0}]
        return Response(json.dumps({"result": [hits for _ in request.json["queries"]]}))

    httpserver.expect_request("/retrieve", method="POST").respond_with_handler(retrieve)
    schemas.write_table(make_questions(), tmp_path / "questions.parquet", schemas.Questions)
    limits = {"max_turns": 3, "topk": 1}
    grpo = {**SETTINGS, "steps": 2, "args": ARGS}
    changes = {"grpo": grpo, "predict": {"limits": limits}, "cache": str(tmp_path / "cache")}
    names = {
        "--checkpoint": folder, "--questions": tmp_path / "questions.parquet",
        "--prompt": ROOT / "config/prompts/agent.jinja",
        "--servers": json.dumps({"search": httpserver.url_for("")}),
        "--work": tmp_path, "--out": tmp_path / "out",
        "--history": tmp_path / "history.jsonl",
        "--config": json.dumps(changes),
    }  # fmt: skip
    command = [sys.executable, ROOT / "scripts/grpo.py"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [*command, *(part for pair in names.items() for part in pair)],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["config"] == config.read_config(changes).grpo.tracked()
    assert (manifest["limits"]["max_turns"], manifest["limits"]["topk"]) == (3, 1)
    assert [each["step"] for each in manifest["loss"]] == [1, 2]
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template
    AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert not list((tmp_path / "out").glob("trainer*"))
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    wanted = {"reward", "valid_turns", "searches", "completion_tokens", "no_signal", "loss"}
    assert all(wanted <= set(json.loads(line)) for line in lines) and len(lines) == 2
