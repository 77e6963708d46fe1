"""What a stage asks: a model behind an endpoint, or the one that is being trained.

Invariant: whoever asks knows only this, so a rollout runs the same way with either.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from searchtrain.models.role import Role

Message = Mapping[str, Any]
"""A chat message as OpenAI's API has it: `role`, `content`, and with native tool calls `tool_calls`
or `tool_call_id`."""


@dataclass(frozen=True, slots=True)
class Call:
    """A native tool call."""

    name: str
    arguments: str
    """JSON, as the model wrote it."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of a model."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached: bool
    model: str = ""
    """Who answered, in the endpoint's own words; empty if it does not say."""
    thought: str | None = None
    """What came in a field of its own for reasoning; None: there was no such field."""
    calls: tuple[Call, ...] = ()


class Model(Protocol):
    """Answers conversations, for any number of concurrent callers on one event loop."""

    @property
    def role(self) -> Role:
        """Its name, model and revision, for lineage; and how many requests it takes at a time."""
        ...

    @property
    def usage(self) -> Counter[str]:
        """Counts of `requests`, `prompt_tokens`, `completion_tokens` and whatever else it has."""
        ...

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
        """Write the next assistant message.

        `stop`: strings at which a server may stop; not every one does, or keeps them. `prefill`:
        text that the message begins with (not part of the answer). `schema`: JSON Schema that the
        answer must fit; whether it does or not, it is returned as it came. `tools`: functions that
        the model may call, as OpenAI's API has them. `brief`: no thought is wanted, as with a
        prefill or a schema: it is switched off where that can be.
        Raises ModelError, and another SearchTrainError when nobody can be answered.
        """
        ...

    def stop(self) -> None:
        """Begin no further request; those in flight still finish."""
        ...

    def cost(self, cached: bool = False) -> float:
        """US dollars spent so far; with `cached`, as if no answer had been in a cache."""
        ...

    async def close(self) -> None:
        """Give back connections; a closed model is not asked again."""
        ...
