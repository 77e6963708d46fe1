"""Batched sampling from a Hugging Face model, token by token.

`transformers.generate` stops each row by itself, but all of them at the same strings; it draws from
one random stream, copies its cache with every token, and computes rows that have ended until the
last one does. Invariant: what a request gets depends on its ids and its seed; its neighbours in
the batch change no more than the rounding of floating-point numbers.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from transformers.cache_utils import Cache, DynamicLayer

from searchtrain.core.errors import SearchTrainError

GROWTH = 64
"""Tokens by which a full cache grows."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a turn is drawn."""

    temperature: float
    """0 takes the likeliest token."""
    top_p: float
    max_new_tokens: int
    """Per turn."""


@dataclass(frozen=True, slots=True)
class Request:
    """A turn to write."""

    ids: Sequence[int]
    """All that the model has read and written so far."""
    seed: int
    stop: Sequence[str] = ()


@dataclass(slots=True)
class Generated:
    """A turn as the model wrote it."""

    ids: list[int]
    """As sampled, the end-of-turn token included where the model wrote one."""
    logprobs: list[float]
    """Of each id."""
    text: str
    """Decoded without special tokens, up to and with a stop string."""
    finish_reason: str
    """`stop` or `length`."""


class Generator(Protocol):
    """What writes turns with the weights that are trained."""

    sampling: Sampling
    context: int
    """Tokens of the longest conversation, the turn to write included."""

    def generate(self, requests: Sequence[Request]) -> list[Generated]:
        """One turn per request, in their order."""
        ...


class TransformersGenerator:
    """A `Generator` on whatever device the model is."""

    def __init__(
        self,
        borrow: Callable[[], AbstractContextManager[Any]],
        tokenizer: Any,
        sampling: Sampling,
        context: int,
        ends: Sequence[int],
    ) -> None:
        """`borrow`: lends the model for one call. `ends`: ids that end a turn."""
        self.sampling = sampling
        self.context = context
        self._borrow = borrow
        self._tokenizer = tokenizer
        self._ends = frozenset(ends)
        self._texts: dict[int, str] = {}

    def generate(self, requests: Sequence[Request]) -> list[Generated]:
        """See `Generator.generate`; raises SearchTrainError when the weights are not finite."""
        with self._borrow() as model, torch.inference_mode():
            training = model.training
            model.eval()  # gradient checkpointing would switch the cache off
            try:
                return self._decode(model, requests)
            finally:
                model.train(training)

    def _decode(self, model: Any, requests: Sequence[Request]) -> list[Generated]:
        sampling, device, most = self.sampling, model.device, self.sampling.max_new_tokens
        lengths = [len(request.ids) for request in requests]
        width = max(lengths)
        ids = torch.zeros((len(requests), width), dtype=torch.long)
        mask = torch.zeros((len(requests), width + most), dtype=torch.long)
        for row, request in enumerate(requests):
            ids[row, width - lengths[row] :] = torch.tensor(request.ids)
            mask[row, width - lengths[row] :] = 1
        ids, mask = ids.to(device), mask.to(device)
        positions = (mask[:, :width].cumsum(1) - 1).clamp(min=0)
        draws = [np.random.default_rng(request.seed).random(most) for request in requests]
        chances = torch.from_numpy(np.stack(draws)).to(device)
        turns = [Generated([], [], "", "") for _ in requests]
        rows = list(range(len(requests)))  # request of each row of the batch that is left
        cache = Cache(layer_class_to_replicate=GrowingLayer)
        for step in range(most):
            seen = width + step
            logits = model(
                input_ids=ids,
                attention_mask=mask[:, :seen],
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
            tokens, logprobs = draw_tokens(logits, chances[:, step], sampling)
            for row, token, logprob in zip(rows, tokens.tolist(), logprobs.tolist(), strict=True):
                self._add(turns[row], requests[row].stop, token, logprob)
            left = [place for place, row in enumerate(rows) if not turns[row].finish_reason]
            if not left:
                break
            positions = positions[:, -1:] + 1
            ids = tokens[:, None]
            if 2 * len(left) <= len(rows):
                chosen = torch.tensor(left, device=device)
                cache.batch_select_indices(chosen)
                ids, mask, positions = ids[chosen], mask[chosen], positions[chosen]
                chances = chances[chosen]
                rows = [rows[place] for place in left]
        for turn in turns:
            turn.text = turn.text or self._read(turn)
        return turns

    def _add(self, turn: Generated, stop: Sequence[str], token: int, logprob: float) -> None:
        """Add a token to a turn; those that come after its end are not its own."""
        if turn.finish_reason:
            return
        turn.ids.append(token)
        turn.logprobs.append(logprob)
        if token in self._ends:
            turn.finish_reason = "stop"
            return
        if token not in self._texts:
            self._texts[token] = self._tokenizer.decode([token])
        # A cheap look before decoding the turn: may a stop string end in this token?
        if any(end[-1] in self._texts[token] for end in stop):
            text = self._read(turn)
            if cuts := [text.find(end) + len(end) for end in stop if end in text]:
                turn.finish_reason, turn.text = "stop", text[: min(cuts)]
                return
        if len(turn.ids) == self.sampling.max_new_tokens:
            turn.finish_reason = "length"

    def _read(self, turn: Generated) -> str:
        return str(self._tokenizer.decode(turn.ids, skip_special_tokens=True))


def draw_tokens(
    logits: torch.Tensor, chances: torch.Tensor, sampling: Sampling
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw one token per row; returns ids and log-probabilities, each of shape (rows,).

    `logits`: (rows, vocabulary). `chances`: (rows,), uniform in [0, 1), which decide the draw. The
    log-probability is that at the temperature, before top_p: what TRL computes when it trains.
    """
    logprobs = torch.log_softmax(logits.float() / (sampling.temperature or 1.0), dim=-1)
    if not torch.isfinite(logprobs.amax()):
        raise SearchTrainError(
            "the model's probabilities are no longer finite; lower grpo.learning_rate"
        )
    if not sampling.temperature:
        tokens = logits.argmax(-1)
    else:
        shares = logprobs.double().exp()
        if sampling.top_p < 1:
            ordered, places = shares.sort(dim=-1, descending=True)
            ordered[ordered.cumsum(-1) - ordered >= sampling.top_p] = 0
            shares = torch.zeros_like(shares).scatter(-1, places, ordered)
        totals = shares.cumsum(-1)
        aims = chances.double()[:, None] * totals[:, -1:]
        tokens = torch.searchsorted(totals, aims, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
    return tokens, logprobs.gather(-1, tokens[:, None])[:, 0]


class GrowingLayer(DynamicLayer):
    """A cache layer that writes new tokens behind the old ones instead of copying all of them."""

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """See `DynamicLayer`."""
        super().lazy_initialization(key_states, value_states)
        self._length = 0
        self._room = [states.new_empty(0) for states in (key_states, value_states)]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the states of new tokens, shape (rows, heads, tokens, size); returns all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        old, self._length = self._length, self._length + key_states.shape[-2]
        for place, states in enumerate((key_states, value_states)):
            room = self._room[place]
            if not old or room.shape[-2] < self._length:
                size = (*states.shape[:2], self._length + GROWTH, states.shape[-1])
                wider = states.new_empty(size)
                if old:
                    wider[:, :, :old] = room[:, :, :old]
                room = self._room[place] = wider
            room[:, :, old : self._length] = states
        self.keys, self.values = (room[:, :, : self._length] for room in self._room)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep some rows only."""
        self._room = [room[indices] for room in self._room]
        self.keys, self.values = (room[:, :, : self._length] for room in self._room)
