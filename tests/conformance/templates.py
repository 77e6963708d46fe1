"""Chat templates as the models ship them, rendered as transformers does.

The files are no part of the repository: their folder is `SEARCHTRAIN_TEMPLATES`, or stands beside
the checkout. Where there is none, a prompt is only estimated and no template refuses anything.
"""

import functools
import json
import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

CONTINUE = "CONTINUE_FINAL_MESSAGE_TAG "
NOT_THERE = (
    "continue_final_message is set but the final message does not appear in the chat after"
    " applying the chat template! This can happen if the chat template deletes portions of the"
    " final message. Please verify the chat template and final message in your chat to ensure they"
    " are compatible."
)
BOTH = (
    "continue_final_message and add_generation_prompt are not compatible. Use"
    " continue_final_message when you want the model to continue the final message, and"
    " add_generation_prompt when you want to add a header that will prompt it to start a new"
    " assistant message instead."
)
NO_CONTENT = "continue_final_message is set but the final message has no content to continue!"


class TemplateFault(ValueError):
    """The template, or the way it is asked to render, refuses the messages."""


def find_folder() -> Path | None:
    """The folder of the templates; None where this machine has none."""
    named = os.environ.get("SEARCHTRAIN_TEMPLATES")
    places = [Path(named)] if named else []
    places += [parent / "shared/reference/templates" for parent in Path(__file__).parents]
    return next((place for place in places if place.is_dir()), None)


def render(
    name: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    continue_final: bool = False,
    generation_prompt: bool = True,
    **kwargs: Any,
) -> str | None:
    """The prompt of a request; None where the template is not at hand. Raises TemplateFault."""
    folder = find_folder()
    if folder is None or not (folder / f"{name}.jinja").exists():
        return None
    if continue_final and generation_prompt:
        raise TemplateFault(BOTH)
    chat = [_normalise(message) for message in messages]
    final = ""
    if continue_final:
        final = chat[-1].get("content") or ""
        if not final:
            raise TemplateFault(NO_CONTENT)
        chat[-1]["content"] = final + CONTINUE
    try:
        text = _compile(folder / f"{name}.jinja").render(
            messages=chat,
            tools=list(tools) or None,
            documents=None,
            add_generation_prompt=generation_prompt,
            **{"bos_token": "<s>", "eos_token": "</s>", **kwargs},
        )
    except jinja2.TemplateError as error:
        raise TemplateFault(str(error)) from None
    if not continue_final:
        return text
    if final.strip() not in text or CONTINUE.strip() not in text:
        raise TemplateFault(NOT_THERE)
    place = text.rindex(CONTINUE.strip())
    whole = text[place : place + len(CONTINUE)] == CONTINUE
    return text[:place] if whole else text[:place].rstrip()


def _normalise(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as vLLM hands it to a template: text content, arguments as objects."""
    message = deepcopy(dict(message))
    if isinstance(message.get("content"), list):
        parts = [part.get("text", "") for part in message["content"]]
        message["content"] = "\n".join(parts)
    elif message.get("content") is None:
        message["content"] = "" if not message.get("tool_calls") else None
    thought = message.pop("reasoning", None) or message.pop("reasoning_content", None)
    if message.get("role") == "assistant" and thought:
        message["reasoning"] = message["reasoning_content"] = thought
    if message.get("role") == "developer":
        message["role"] = "system"
    if not message.get("tool_calls"):
        message.pop("tool_calls", None)
    for call in message.get("tool_calls") or ():
        arguments = call["function"].get("arguments")
        if isinstance(arguments, str):
            call["function"]["arguments"] = json.loads(arguments or "{}")
    return message


@functools.cache
def _compile(path: Path) -> jinja2.Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, ensure_ascii=False, **options: json.dumps(
        value, ensure_ascii=ensure_ascii, **options
    )
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment.from_string(path.read_text(encoding="utf-8"))


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)
