"""A role: a model as one stage uses it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from searchtrain.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Role:
    """A model, its sampling, and how its endpoint is talked to."""

    name: str
    model: str
    revision: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Sent as it is: temperature, top_p, max_tokens, …"""
    dialect: str = "openai"
    """`vllm` adds vLLM's own fields (prefill, the stop string kept); other servers refuse them."""
    concurrency: int = 32
    """Requests in flight."""
    timeout: float = 120
    """Seconds for one attempt."""
    attempts: int = 4
    api_key_env: str = ""
    """Environment variable that holds the key; keys stand nowhere else."""
    price: Mapping[str, float] = field(default_factory=dict)
    """US dollars per million `prompt` and `completion` tokens."""
    only: str = ""
    """The one model that may answer (`identity.is_same_model`); empty: whichever does."""

    @classmethod
    def from_config(cls, name: str, config: Mapping[str, Any], **changes: Any) -> "Role":
        """Make a role of its config section; raises InputError for a key that it does not know."""
        known = sorted(set(cls.__dataclass_fields__) - {"name"})
        for key, value in config.items():
            if key not in known:
                raise InputError(
                    f"models.{name}.{key}: unknown setting ({value!r}); known are"
                    f" {', '.join(known)}"
                )
        return cls(**{**config, "name": name, **changes})

    def read_key(self) -> str:
        """The API key; a server of the workflow's own needs none."""
        if not self.api_key_env:
            return "none"
        key = os.environ.get(self.api_key_env)
        if not key:
            raise InputError(
                f"models.{self.name}: environment variable {self.api_key_env} is not set;"
                " export it with the endpoint's API key"
            )
        return key
