"""The model that is trained, as `agent.rollout` asks it.

A rollout gets a `Session`, a `Model` of its own, which remembers the conversation as token ids: a
turn's prompt is all ids so far and those of what the chat template puts behind them.
Invariant: what the model wrote is never tokenised again, and every id is marked as either the
model's or the environment's.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from searchtrain.agent import grammar
from searchtrain.core.errors import InputError, ModelError
from searchtrain.models.model import Completion, Message
from searchtrain.models.role import Role
from searchtrain.rl.generation import Generated, Generator, Request


@dataclass(frozen=True, slots=True)
class Tokens:
    """A rollout as it is trained on; the last three are of one length, at least 1."""

    prompt_ids: list[int]
    completion_ids: list[int]
    logprobs: list[float]
    """0 for the environment's tokens."""
    mask: list[int]
    """1 for the model's tokens, 0 for the environment's: observations, what the template adds."""


class LocalModel:
    """Opens sessions and writes the turns of all of them together.

    The turns are written once every open session waits for one, so equal seeds give equal batches.
    """

    def __init__(self, name: str, generator: Generator, tokenizer: Any) -> None:
        """`name`: for the rows' lineage. Raises InputError without a chat template."""
        if not tokenizer.chat_template:
            raise InputError(f"{name}: the tokenizer has no chat template; use an instruct model")
        self.role = Role(name="student", model=name, dialect="vllm")
        self.generator = generator
        self.usage: Counter[str] = Counter()
        self.fault: Exception | None = None
        """What broke the generator: then no rollout can go on."""
        self.tokenizer = tokenizer
        self.special = frozenset(tokenizer.all_special_ids)
        self._open = 0
        self._waiting: list[tuple[Request, asyncio.Future[Generated]]] = []

    def open(self) -> "Session":
        """A session for one rollout; the other sessions wait for it until it is closed."""
        self._open += 1
        return Session(self)

    def leave(self) -> None:
        """Wait no longer for a session that is closed."""
        self._open -= 1
        self._write_turns()

    async def ask(self, request: Request) -> Generated:
        """Have one turn written; raises ModelError `context_length` when there is no room for it.

        As vLLM's server does, this asks for room for the longest turn.
        """
        longest = len(request.ids) + self.generator.sampling.max_new_tokens
        if longest > self.generator.context:
            raise ModelError(
                f"{self.role.model}: the conversation may reach {longest} tokens, more than the"
                f" model's context of {self.generator.context}",
                "context_length",
            )
        future: asyncio.Future[Generated] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        self._write_turns()
        return await future

    def _write_turns(self) -> None:
        if not self._waiting or len(self._waiting) < self._open:
            return
        waiting, self._waiting = self._waiting, []
        try:
            turns = self.generator.generate([request for request, _ in waiting])
        except Exception as error:
            self.fault = error
            for _, future in waiting:
                future.set_exception(error)
            return
        for (request, future), turn in zip(waiting, turns, strict=True):
            self.usage["requests"] += 1
            self.usage["prompt_tokens"] += len(request.ids)
            self.usage["completion_tokens"] += len(turn.ids)
            future.set_result(turn)


class Session:
    """One rollout's conversation with the model that is trained; a `Model`."""

    def __init__(self, model: LocalModel) -> None:
        self.role = model.role
        self._model = model
        self._ids: list[int] = []
        self._mask: list[int] = []
        self._logprobs: list[float] = []
        self._prompt = 0
        """Ids before the first turn."""
        self._heard = 0
        """Messages when the last turn began."""
        self._before = ""
        """The conversation as text when the last turn began."""
        self._began = 0
        """Ids there were then."""
        self._turn: Generated | None = None
        self._turns = 0

    @property
    def usage(self) -> Counter[str]:
        """Of all sessions together."""
        return self._model.usage

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        seed: int,
        stop: Sequence[str] = (),
        prefill: str = "",
        schema: Mapping[str, Any] | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
        brief: bool = False,
    ) -> Completion:
        """See `Model.complete`; each turn of a rollout has random numbers of its own.

        A turn that is not in `messages` any more is forgotten. Raises InputError for a schema or
        tools, and when the chat template changes earlier turns.
        """
        if schema is not None or tools:
            raise InputError(
                f"{self.role.model}: the model that is trained takes no JSON schema and no tools"
            )
        text = self._render(messages, add_generation_prompt=True) + prefill
        self._continue(messages, text)
        if not self._turns:
            self._prompt = len(self._ids)
        request = Request(list(self._ids), (seed << 8) + self._turns, stop)
        turn = await self._model.ask(request)
        self._heard, self._before, self._began = len(messages), text, len(self._ids)
        self._turn = turn
        self._turns += 1
        self._ids += turn.ids
        self._logprobs += turn.logprobs
        self._mask += [1] * len(turn.ids)
        return Completion(turn.text, turn.finish_reason, len(request.ids), len(turn.ids), False)

    def stop(self) -> None:
        """See `Model.stop`; a turn costs nothing that could be saved."""

    def cost(self, cached: bool = False) -> float:
        """See `Model.cost`."""
        return 0.0

    async def close(self) -> None:
        """Let the other sessions go on without this one."""
        self._model.leave()

    def finish(self, messages: Sequence[Message]) -> Tokens:
        """The whole rollout, ended by the template's end-of-turn token; `messages` are its row's.

        What stands behind the last turn is left out. A rollout without a turn has one token, which
        is the environment's.
        """
        if messages and messages[-1]["role"] == grammar.ASSISTANT:
            self._continue(messages, self._render(messages), ends=True)
        if len(self._ids) == self._prompt or not self._turns:
            self._add([self._model.tokenizer.eos_token_id])
            self._prompt = len(self._ids) - 1
        return Tokens(
            self._ids[: self._prompt],
            self._ids[self._prompt :],
            self._logprobs[self._prompt :],
            self._mask[self._prompt :],
        )

    def _render(self, messages: Sequence[Message], **options: Any) -> str:
        sent = [dict(message) for message in messages]
        return str(self._model.tokenizer.apply_chat_template(sent, tokenize=False, **options))

    def _continue(self, messages: Sequence[Message], text: str, ends: bool = False) -> None:
        """Make the ids those of `messages`, rendered as `text`; `ends`: up to the turn's end."""
        if self._turn and len(messages) == self._heard:
            # The agent has taken the turn back: it asked for a search when none was left.
            del self._ids[self._began :], self._mask[self._began :], self._logprobs[self._began :]
            self._turn = None
        written = self._before + (self._turn.text if self._turn else "")
        if not text.startswith(written):
            raise InputError(
                f"{self.role.model}: the chat template changes turns that it has written before;"
                " training needs one that only adds to them"
            )
        tokenizer = self._model.tokenizer
        added = list(tokenizer(text[len(written) :], add_special_tokens=False)["input_ids"])
        if ends and tokenizer.eos_token_id in added:
            added = added[: added.index(tokenizer.eos_token_id) + 1]
        if self._turn and self._ids and self._ids[-1] in self._model.special:
            # The model ended the turn itself. That is the template's end, or else (a closing tag
            # comes first) what a server would not have shown it again.
            if added[:1] == self._ids[-1:]:
                added = added[1:]
            else:
                for column in (self._ids, self._mask, self._logprobs):
                    column.pop()
        self._add(added)

    def _add(self, ids: Sequence[int]) -> None:
        """Add tokens of the environment."""
        self._ids += ids
        self._mask += [0] * len(ids)
        self._logprobs += [0.0] * len(ids)
