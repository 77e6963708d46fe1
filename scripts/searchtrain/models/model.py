"""What a stage asks: a model behind an endpoint, or the one that is being trained.

Invariant: whoever asks knows only this, so a rollout runs the same way with either.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from searchtrain.models.role import Role

Message = Mapping[str, str]


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
    ) -> Completion:
        """Write the next assistant message.

        `prefill`: text that the message begins with (not part of the answer). `schema`: JSON
        Schema that the answer must fit; whether it does or not, it is returned as it came.
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
