"""Drawing a turn: what depends on what, and where it ends."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers.generators import GREEDY, make_requests, open_generator
from helpers.scribe import encode
from searchtrain.agent import grammar
from searchtrain.core.errors import SearchTrainError
from searchtrain.rl.generation import Request, Sampling
from searchtrain.rl.generation import draw_tokens as draw

DRAWN = Sampling(0.8, 0.9, 24)


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
