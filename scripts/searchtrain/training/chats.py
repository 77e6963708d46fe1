"""Curated rollouts as chat messages that an OpenAI-compatible service is fine-tuned on.

Invariant: a chat is the sharegpt record of its rollout, as `records.list_messages` reads it back,
in the roles that a strict endpoint takes; nothing is rendered a second time.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.agent.formats import FORMATS
from searchtrain.config import Config, describe_limits
from searchtrain.models.prompts import render_prompt
from searchtrain.models.role import make_role
from searchtrain.training.records import list_messages, list_tools
from searchtrain.training.sharegpt import make_records

DIALECT = "openai"
"""Strict about roles: an observation that answers no native call is a user message."""


def make_chats(
    curated: pl.DataFrame, config: Config, prompt: Path, form: str
) -> list[dict[str, Any]]:
    """A chat `{messages}`, with native calls `{messages, tools}`, per row of `schemas.Curated`.

    `prompt`: the student's; `form`: `tags` or `tool_calls`. OpenAI's fine-tuning takes either as a
    line of JSON.
    """
    system = render_prompt(prompt, **describe_limits(config.predict.limits, form))
    student = make_role(config, "student", config.models.student.sampling)
    asked = replace(student, dialect=DIALECT, wire={})
    chats = []
    for record in make_records(curated, system, FORMATS[form], asked):
        tools = list_tools(record)
        chats.append({"messages": list_messages(record), **({"tools": tools} if tools else {})})
    return chats
