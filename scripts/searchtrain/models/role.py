"""A role: a model as one stage uses it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from searchtrain import config as settings
from searchtrain.config.dialects import Dialect, find_dialect
from searchtrain.config.writers import find_only
from searchtrain.core.errors import InputError

DEFAULT = settings.Role()


@dataclass(frozen=True, slots=True)
class Role:
    """A model, its sampling, and how its endpoint is talked to."""

    name: str
    model: str
    revision: str = DEFAULT.revision
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Sent as it is: temperature, top_p, max_tokens, …"""
    dialect: str = DEFAULT.dialect
    """The kind of endpoint (`config.dialects`), corrected by `wire`."""
    wire: Mapping[str, Any] = field(default_factory=dict)
    reasoning: str = DEFAULT.reasoning
    """`native`: the model thinks by itself, whatever the prompt says."""
    thought_tokens: int = DEFAULT.thought_tokens
    """Tokens for a thought that can not be switched off, before an answer in JSON."""
    server: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the server that the workflow starts, those that may change an answer; empty for
    an endpoint."""
    concurrency: int = DEFAULT.concurrency
    """Requests in flight."""
    timeout: float = DEFAULT.timeout
    """Seconds for one attempt."""
    attempts: int = DEFAULT.attempts
    api_key_env: str = DEFAULT.api_key_env
    """Environment variable that holds the key; keys stand nowhere else."""
    price: Mapping[str, float] = field(default_factory=dict)
    """US dollars per million `prompt` and `completion` tokens."""
    max_dollars: float | None = None
    """What one job may spend; None: no limit."""
    only: str = ""
    """The one model that may answer (`identity.is_same_model`); empty: whichever does."""

    @property
    def speaks(self) -> Dialect:
        """What its endpoint takes."""
        return find_dialect(self.dialect, self.wire)

    @property
    def continues(self) -> bool:
        """Whether its server can go on with a message that was begun for it."""
        return bool(self.speaks.continues)

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


def make_role(
    config: settings.Config, name: str, sampling: settings.Sampling, revision: str | None = None
) -> Role:
    """The role `name` of a config; `revision`: in place of its own (a student's weights)."""
    section = find_section(config, name)
    values = section.model_dump(include={each.name for each in fields(Role)})
    values |= {"name": name, "sampling": sampling.tracked(), "only": find_only(config, name)}
    if section.runs_vllm:
        values["server"] = section.vllm.tracked()
    return Role(**values | ({} if revision is None else {"revision": revision}))


def find_section(config: settings.Config, name: str) -> settings.Role | settings.Student:
    """The section that counts for a role, its own or that of `same_as`."""
    return config.models.student if name == "student" else config.models.resolve(name)
