"""GRPO without TRL: drawing turns, a rollout as token ids, rewards, and the history."""

import asyncio
import copy
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_agent import ANSWER, SEARCH, TASK, Library
from test_base import CONFIG, WORLD

from searchtrain.agent import grammar, loop
from searchtrain.config.limits import Limits
from searchtrain.core.errors import InputError, SearchTrainError
from searchtrain.demo import base, world
from searchtrain.report import training_chart
from searchtrain.report.training_chart import average_curve, draw_history
from searchtrain.rl.colocated import open_colocated
from searchtrain.rl.generation import Generated, Request, Sampling, TransformersGenerator
from searchtrain.rl.generation import draw_tokens as draw
from searchtrain.rl.history import History
from searchtrain.rl.local import LocalModel
from searchtrain.rl.rewards import find_match, score_rollout
from searchtrain.rl.rollouts import measure_rollouts, roll_out
from searchtrain.training.trainer import list_messages, tokenize_record

ROOT = Path(__file__).parents[2]
GREEDY = Sampling(0.0, 1.0, 24)
DRAWN = Sampling(0.8, 0.9, 24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grpo")
    world.write_world(folder, WORLD)
    base.write_base(folder / "model", folder / "passages.jsonl", folder / "train.json", CONFIG)
    return folder / "model"


@pytest.fixture(scope="module")
def tokenizer(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


def open_generator(model, tokenizer, sampling, ends=()):
    return TransformersGenerator(lambda: nullcontext(model), tokenizer, sampling, 1024, ends)


def encode(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


# Drawing a turn.


def make_requests(tokenizer, count=5):
    texts = ["Which country is Oslo in? " * (number + 1) for number in range(count)]
    return [Request(encode(tokenizer, text), seed) for seed, text in enumerate(texts)]


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN])
def test_a_turn_depends_on_its_request_and_not_on_the_others_in_the_batch(
    model, tokenizer, sampling
):
    generator = open_generator(model, tokenizer, sampling, ends=[5, 6, 7])
    requests = make_requests(tokenizer)
    together = generator.generate(requests)
    alone = [generator.generate([request])[0] for request in requests]
    assert [turn.ids for turn in together] == [turn.ids for turn in alone]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-4)


def test_greedy_turns_are_those_of_transformers(model, tokenizer):
    request = make_requests(tokenizer)[2]
    (turn,) = open_generator(model, tokenizer, GREEDY).generate([request])
    ids = torch.tensor([request.ids])
    expected = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, eos_token_id=None
    )
    assert turn.ids == expected[0, ids.shape[1] :].tolist()
    assert turn.finish_reason == "length"


def test_logprobs_are_the_models_at_the_temperature(model, tokenizer):
    request = make_requests(tokenizer)[1]
    (turn,) = open_generator(model, tokenizer, DRAWN).generate([request])
    ids = torch.tensor([[*request.ids, *turn.ids]])
    with torch.no_grad():
        logits = model(ids).logits[0, len(request.ids) - 1 : -1]
    expected = torch.log_softmax(logits / DRAWN.temperature, -1)
    expected = expected.gather(-1, torch.tensor(turn.ids)[:, None])[:, 0]
    np.testing.assert_allclose(turn.logprobs, expected.numpy(), atol=1e-4)


def test_another_seed_draws_another_turn(model, tokenizer):
    generator = open_generator(model, tokenizer, DRAWN)
    ids = encode(tokenizer, "Oslo")
    turns = generator.generate([Request(ids, seed) for seed in (1, 2, 1)])
    assert turns[0].ids == turns[2].ids != turns[1].ids


def test_top_p_draws_from_the_nucleus_in_proportion():
    shares = torch.tensor([0.5, 0.05, 0.3, 0.15])
    chances = torch.linspace(0, 0.9999, 1000)
    tokens, logprobs = draw(shares.log().repeat(1000, 1), chances, Sampling(1.0, 0.75, 1))
    counts = torch.bincount(tokens, minlength=4) / 1000
    assert counts.tolist() == pytest.approx([0.625, 0, 0.375, 0], abs=0.01)
    assert logprobs.exp().unique().tolist() == pytest.approx([0.3, 0.5])


def test_weights_that_are_no_numbers_are_an_error():
    with pytest.raises(SearchTrainError, match="learning_rate"):
        draw(torch.full((1, 4), torch.nan), torch.zeros(1), DRAWN)


class Parrot:
    """A model that says what it is given to say, whatever it reads."""

    device = torch.device("cpu")
    training = True

    def __init__(self, said, vocabulary):
        self.said = said
        self.steps = 0
        self.vocabulary = vocabulary
        self.widths = []

    def eval(self):
        self.training = False

    def train(self, mode):
        self.training = mode

    def __call__(self, input_ids, attention_mask, past_key_values, **_):
        assert not self.training
        rows = input_ids[:, -1].tolist() if self.steps else range(len(input_ids))
        logits = torch.full((len(input_ids), 1, self.vocabulary), -50.0)
        for place, row in enumerate(rows):
            # Each script has tokens of its own, so the last one tells whose row it is.
            script = self.said[place] if not self.steps else self._find(row)
            logits[place, 0, script[min(self.steps, len(script) - 1)]] = 50.0
        states = torch.zeros(len(input_ids), 1, input_ids.shape[1], 2)
        past_key_values.update(states, states, 0)
        self.widths.append(len(input_ids))
        self.steps += 1
        return SimpleNamespace(logits=logits)

    def _find(self, token):
        return next(script for script in self.said if token in script)


def say(tokenizer, *scripts, stop=(), ends=(), longest=8):
    parrot = Parrot(scripts, len(tokenizer))
    generator = open_generator(parrot, tokenizer, Sampling(0.0, 1.0, longest), ends)
    turns = generator.generate([Request([1], 0, stop) for _ in scripts])
    assert parrot.training
    return turns, parrot


def test_a_turn_ends_at_a_stop_string_at_an_end_token_or_at_its_limit(tokenizer):
    close = encode(tokenizer, "</search>")
    end = tokenizer.eos_token_id
    scripts = ([40, *close, 41], [42, 43, end, 44], [50, 51, 52, 53, 54, 55, 56, 57, 58])
    turns, parrot = say(tokenizer, *scripts, stop=grammar.STOP, ends=[end])
    assert [turn.ids for turn in turns] == [[40, *close], [42, 43, end], scripts[2][:8]]
    assert [turn.finish_reason for turn in turns] == ["stop", "stop", "length"]
    assert turns[0].text.endswith("</search>")
    assert turns[1].text == tokenizer.decode([42, 43])
    assert parrot.widths[0] == 3 and parrot.widths[-1] == 1  # rows that have ended are dropped


def test_a_stop_string_inside_a_token_cuts_the_text_and_not_the_ids(tokenizer):
    # The bytes of ">" and what follows in one token, as in Qwen's vocabulary.
    wide = SimpleNamespace(
        decode=lambda ids, **_: "".join({40: "a</b", 41: ">\n\n"}[each] for each in ids)
    )
    parrot = Parrot([[40, 41, 40]], 64)
    generator = open_generator(parrot, wide, Sampling(0.0, 1.0, 8))
    (turn,) = generator.generate([Request([1], 0, ["</b>"])])
    assert (turn.ids, turn.text) == ([40, 41], "a</b>")


ENGINE = """
import json, sys
from dataclasses import asdict
from vllm import LLM
from searchtrain.rl.colocated import ColocatedGenerator
from searchtrain.rl.generation import Request, Sampling

model, asked, out = sys.argv[1:]
engine = LLM(
    model, dtype="float32", max_model_len=512, max_num_seqs=4, max_num_batched_tokens=512,
    enforce_eager=True, enable_chunked_prefill=False, kv_cache_memory_bytes=50_000_000,
    logprobs_mode="processed_logprobs",
)
generator = ColocatedGenerator(engine, Sampling(0.0, 1.0, 24))
assert generator.context == 512
turns = generator.generate([Request(**request) for request in json.loads(asked)])
open(out, "w").write(json.dumps([asdict(turn) for turn in turns]))
"""


def test_vllm_writes_the_same_turns(folder, model, tokenizer, tmp_path):
    """In a process of its own: the engine takes hold of the one that it runs in."""
    pytest.importorskip("vllm", reason="vLLM is in the other environment")
    requests = make_requests(tokenizer, 3)
    plain = open_generator(model, tokenizer, GREEDY).generate(requests)
    ends = plain[0].text[4:9]  # a stop string that comes
    requests = [Request(list(request.ids), 1, [ends]) for request in requests]
    asked = json.dumps([asdict(request) for request in requests])
    ended = subprocess.run(
        [sys.executable, "-c", ENGINE, folder, asked, tmp_path / "turns.json"],
        env={
            **os.environ, "HF_HUB_OFFLINE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "PYTHONPATH": str(ROOT / "scripts"),
        },
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    turns = [Generated(**turn) for turn in json.loads((tmp_path / "turns.json").read_text())]
    expected = open_generator(model, tokenizer, GREEDY).generate(requests)
    assert turns[0].finish_reason == "stop" and turns[0].text.endswith(ends)
    for one, other in zip(turns, expected, strict=True):
        assert (one.ids, one.text, one.finish_reason) == (
            other.ids, other.text, other.finish_reason
        )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [("mode", "server"), ("tensor_parallel_size", 2), ("enable_sleep_mode", True)],
)
def test_a_vllm_that_rollouts_can_not_ask_is_refused(name, value):
    fitting = {"mode": "colocate", "tensor_parallel_size": 1, "enable_sleep_mode": False}
    trainer = SimpleNamespace(vllm_generation=SimpleNamespace(**{**fitting, name: value}))
    with pytest.raises(InputError, match=rf"grpo\.vllm\.{name}"):
        open_colocated(trainer, GREEDY)


# A rollout as token ids.


class Scribe:
    """Writes turns from a script per rollout; each is text, or ids with text and finish reason."""

    sampling = Sampling(1.0, 1.0, 64)
    context = 4096

    def __init__(self, tokenizer, *scripts, context=4096):
        self.tokenizer = tokenizer
        self.left = {TASK.seed + place: list(script) for place, script in enumerate(scripts)}
        self.context = context
        self.batches = []

    def generate(self, requests):
        self.batches.append(requests)
        return [self.write(self.left[request.seed >> 8].pop(0)) for request in requests]

    def write(self, turn):
        if isinstance(turn, Generated):
            return turn
        ids = encode(self.tokenizer, turn)
        return Generated(ids, [-0.5] * len(ids), turn, "stop")


def roll(scribe, tokenizer, library=None, **limits):
    harness = loop.Harness("Answer briefly.", "digest", Limits(**{"topk": 1, **limits}))
    attempts = [
        loop.Attempt("q1", TASK.question, TASK.golden_answers, "test", (), place, seed)
        for place, seed in enumerate(scribe.left)
    ]
    model = LocalModel("tiny", scribe, tokenizer)
    match = find_match("strict")
    return asyncio.run(roll_out(attempts, harness, library or Library(), model, match))


def list_written(tokens):
    """The runs of tokens that the model wrote."""
    runs, last = [], 0
    for token, mask in zip(tokens.completion_ids, tokens.mask, strict=True):
        if mask and not last:
            runs.append([])
        if mask:
            runs[-1].append(token)
        last = mask
    return runs


def list_ids(tokens):
    return tokens.prompt_ids + tokens.completion_ids


def render_ids(tokenizer, messages):
    """The ids of a conversation up to the end of its last turn."""
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    return encode(tokenizer, text.removesuffix("\n"))


@pytest.mark.parametrize(
    "turns",
    [
        [ANSWER],
        [SEARCH, ANSWER],
        [SEARCH, "<think>I forgot the rest.</think>", SEARCH, ANSWER],
        [SEARCH.removesuffix("</search>"), ANSWER.removesuffix("</answer>")],
    ],
)
def test_a_rollouts_ids_are_those_of_the_served_template(tokenizer, turns):
    (rollout,) = roll(Scribe(tokenizer, turns), tokenizer)
    assert rollout.row["stop_reason"] == "answered"
    tokens = rollout.tokens
    assert list_ids(tokens) == render_ids(tokenizer, rollout.row["messages"])
    assert tokens.prompt_ids == render_ids(tokenizer, rollout.row["messages"][:2]) + encode(
        tokenizer, "\n<|im_start|>assistant\n"
    )
    assert list_written(tokens) == [encode(tokenizer, turn) for turn in turns]
    drawn = [logprob for logprob, mask in zip(tokens.logprobs, tokens.mask, strict=True) if mask]
    assert set(drawn) == {-0.5}
    assert sum(tokens.logprobs) == sum(drawn)


def test_a_rollout_is_tokenized_as_its_training_record_is(tokenizer):
    (rollout,) = roll(Scribe(tokenizer, [SEARCH, ANSWER]), tokenizer)
    speakers = {"user": "human", "assistant": "gpt", "tool": "observation"}
    system, *said = rollout.row["messages"]
    record = {
        "system": system["content"],
        "conversations": [
            {"from": speakers[message["role"]], "value": message["content"]} for message in said
        ],
    }
    assert list_messages(record) == rollout.row["messages"]
    ids = list_ids(rollout.tokens)
    assert ids == tokenize_record(record, tokenizer)[: len(ids)]


def test_what_the_model_wrote_is_not_tokenized_again(tokenizer):
    # Letter by letter, as no tokenizer would write it.
    ids = [token for letter in SEARCH for token in encode(tokenizer, letter)]
    assert ids != encode(tokenizer, SEARCH)
    odd = Generated(ids, [-1.0] * len(ids), SEARCH, "stop")
    scribe = Scribe(tokenizer, [odd, ANSWER])
    (rollout,) = roll(scribe, tokenizer)
    assert list_written(rollout.tokens) == [ids, encode(tokenizer, ANSWER)]
    second = scribe.batches[1][0].ids
    assert list_ids(rollout.tokens)[: len(second)] == list(second)


def test_an_end_of_turn_that_the_model_wrote_is_not_doubled(tokenizer):
    end = tokenizer.eos_token_id
    turns = [
        Generated([*encode(tokenizer, text), end], [-1.0] * (len(encode(tokenizer, text)) + 1),
                  text, "stop")
        for text in ("<think>No action.</think>", ANSWER)
    ]  # fmt: skip
    (rollout,) = roll(Scribe(tokenizer, turns), tokenizer)
    assert rollout.row["stop_reason"] == "answered"
    assert list_ids(rollout.tokens) == render_ids(tokenizer, rollout.row["messages"])
    assert list_written(rollout.tokens) == [turn.ids for turn in turns]


def test_an_end_of_turn_before_a_closing_tag_is_what_the_server_hides(tokenizer):
    text = SEARCH.removesuffix("</search>")
    ids = [*encode(tokenizer, text), tokenizer.eos_token_id]
    (rollout,) = roll(
        Scribe(tokenizer, [Generated(ids, [-1.0] * len(ids), text, "stop"), ANSWER]), tokenizer
    )
    assert list_ids(rollout.tokens) == render_ids(tokenizer, rollout.row["messages"])
    assert list_written(rollout.tokens)[0] == ids[:-1]


def test_a_turn_that_was_replaced_by_a_forced_answer_is_not_trained_on(tokenizer):
    second = grammar.render_turn("Once more.", queries=["Norway"])
    scribe = Scribe(tokenizer, [SEARCH, second, "Norway</answer>"])
    (rollout,) = roll(scribe, tokenizer, max_searches=1, force_answer=True)
    assert rollout.row["stop_reason"] == "forced_answer"
    assert rollout.reward == 1
    assert list_ids(rollout.tokens) == render_ids(tokenizer, rollout.row["messages"])
    assert list_written(rollout.tokens) == [
        encode(tokenizer, SEARCH), encode(tokenizer, "Norway</answer>")
    ]  # fmt: skip


def test_a_closed_book_rollout_begins_with_the_forced_answer(tokenizer):
    scribe = Scribe(tokenizer, [SEARCH, "Norway</answer>"])
    (rollout,) = roll(scribe, tokenizer, max_searches=0, force_answer=True)
    assert list_ids(rollout.tokens) == render_ids(tokenizer, rollout.row["messages"])
    assert list_written(rollout.tokens) == [encode(tokenizer, "Norway</answer>")]


def test_a_conversation_that_outgrows_the_context_ends_the_rollout(tokenizer):
    scribe = Scribe(tokenizer, [SEARCH, ANSWER], context=150)
    (rollout,) = roll(scribe, tokenizer)
    assert (rollout.row["stop_reason"], rollout.reward) == ("token_limit", 0)
    assert list_written(rollout.tokens) == [encode(tokenizer, SEARCH)]
    (none,) = roll(Scribe(tokenizer, [SEARCH], context=10), tokenizer)
    assert none.tokens.mask == [0] and len(none.tokens.completion_ids) == 1


def test_a_failed_search_has_no_reward(tokenizer):
    (rollout,) = roll(Scribe(tokenizer, [SEARCH]), tokenizer, Library(fails=True))
    assert (rollout.row["stop_reason"], rollout.reward) == ("search_error", None)
    assert rollout.error.kind == "connection"
    assert list_ids(rollout.tokens) == render_ids(tokenizer, rollout.row["messages"])


def test_a_fault_of_the_program_has_no_reward_and_leaves_the_others_alone(tokenizer):
    class Odd(Library):
        async def search(self, queries, topk, exclude=()):
            return [[{"id": "7"}] for _ in queries]

    broken, whole = roll(Scribe(tokenizer, [SEARCH], [ANSWER]), tokenizer, Odd())
    assert (broken.row["error"], broken.error.kind, broken.reward) == ("internal", "internal", None)
    assert (whole.error, whole.reward) == (None, 1)


def test_the_turns_of_all_rollouts_are_written_together(tokenizer):
    scripts = [[ANSWER], [SEARCH, ANSWER], [SEARCH, SEARCH, ANSWER], [SEARCH, ANSWER]]
    scribe = Scribe(tokenizer, *scripts)
    rollouts = roll(scribe, tokenizer)
    assert [len(batch) for batch in scribe.batches] == [4, 3, 1]
    assert [rollout.row["searches"] for rollout in rollouts] == [0, 1, 2, 1]


def test_what_breaks_the_generator_ends_all_rollouts(tokenizer):
    scribe = Scribe(tokenizer, [SEARCH, ANSWER], [SEARCH])
    with pytest.raises(IndexError):
        roll(scribe, tokenizer)


def test_a_template_that_changes_earlier_turns_is_refused(tokenizer):
    forgetful = copy.deepcopy(tokenizer)
    forgetful.chat_template = (
        "{%- for message in messages -%}{{- message['role'] + '\\n' -}}"
        "{{- message['content'].split('</think>')[-1] + '<|im_end|>\\n' -}}{%- endfor -%}"
    )
    with pytest.raises(InputError, match="chat template"):
        roll(Scribe(tokenizer, [SEARCH, ANSWER]), forgetful)
    forgetful.chat_template = None
    with pytest.raises(InputError, match="no chat template"):
        roll(Scribe(tokenizer, [ANSWER]), forgetful)


# Rewards.


def make_row(*said, stop_reason="answered", golden=("Norway",)):
    roles = ("user", *("assistant", "tool") * len(said))
    contents = (TASK.question, *said)
    messages = [
        {"role": role, "content": content} for role, content in zip(roles, contents, strict=False)
    ]
    return {"messages": messages, "stop_reason": stop_reason, "golden_answers": list(golden)}


FOUND = grammar.render_observation([("Oslo", [])], 500)
NOTICE = grammar.render_notice("That turn was not valid.")


@pytest.mark.parametrize(
    ("row", "reward"),
    [
        (make_row(ANSWER), 1),
        (make_row(SEARCH, FOUND, ANSWER), 1),
        (make_row(ANSWER, golden=("norway",)), 1),
        (make_row(ANSWER, golden=("Sweden", "The Norway")), 0),
        (make_row(SEARCH, FOUND, ANSWER + " Well."), 0),
        (make_row("No tags.", NOTICE, ANSWER), 0),
        (make_row(SEARCH, FOUND, stop_reason="turn_limit"), 0),
        (make_row(SEARCH, stop_reason="search_error"), None),
        (make_row(stop_reason="model_error"), None),
    ],
)
def test_only_a_valid_rollout_with_the_right_answer_is_rewarded(row, reward):
    assert score_rollout(row, find_match("strict")) == reward


def test_a_reward_may_be_normalised():
    row = make_row(ANSWER, golden=("the Norway!",))
    assert score_rollout(row, find_match("normalised")) == 1
    assert score_rollout(row, find_match("strict")) == 0
    with pytest.raises(InputError, match="strict, normalised"):
        find_match("fuzzy")


def test_a_steps_figures(tokenizer):
    wrong = grammar.render_turn("It is there.", answer="Sweden")
    scripts = [[ANSWER], [SEARCH, wrong], [ANSWER], ["No tags.", ANSWER]]
    rollouts = roll(Scribe(tokenizer, *scripts), tokenizer)
    figures = measure_rollouts(rollouts, 2)
    assert figures["reward"] == 0.5
    assert figures["valid_turns"] == pytest.approx(5 / 6)
    assert figures["searches"] == 0.25
    assert figures["no_signal"] == 0
    assert measure_rollouts(rollouts[::2], 2)["no_signal"] == 1
    written = sum(len(encode(tokenizer, turn)) for script in scripts for turn in script)
    assert figures["completion_tokens"] == written / 4
    assert figures["stop_reasons"] == {"answered": 4}


# The history.


def make_steps(count, **changes):
    keys = dict.fromkeys(training_chart.PANELS, 0.5)
    return [{"step": step, **keys, **changes} for step in range(1, count + 1)]


def test_a_run_that_goes_on_forgets_the_steps_that_were_not_saved(tmp_path):
    file = tmp_path / "history.jsonl"
    first = History(file, 0)
    for row in make_steps(5):
        first.add(row)
    second = History(file, 3)
    second.add({"step": 4, "reward": 1.0})
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert lines == second.rows


def test_the_heavy_line_is_a_mean_of_what_came_before():
    assert average_curve([1, 3, 5, 7], 2) == [1, 2, 4, 6]


@pytest.mark.parametrize("rows", [make_steps(40), make_steps(1), make_steps(30, kl=None), []])
def test_any_history_can_be_drawn_and_is_drawn_the_same(tmp_path, rows):
    for name in ("a.png", "b.png"):
        draw_history(rows, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
