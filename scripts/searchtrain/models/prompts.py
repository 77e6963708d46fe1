"""Prompt files: Jinja templates, one per job that a model is given.

A prompt is rendered with StrictUndefined, so a misspelt variable is an error and never an empty
string in front of a model. A prompt may include its neighbours (`{% include "agent.jinja" %}`).
"""

from pathlib import Path

import jinja2
from jinja2 import meta

from searchtrain.core.errors import PromptError


def render_prompt(path: str | Path, **variables: object) -> str:
    """Render a prompt file, trimmed at both ends.

    Raises PromptError naming file, line and the variables that a prompt may use.
    """
    path = Path(path)
    try:
        text = _make_environment(path).get_template(path.name).render(**variables)
    except jinja2.TemplateNotFound as error:
        raise PromptError(
            f"{path}: prompt file {error.name!r} not found in {path.parent}"
        ) from None
    except jinja2.TemplateSyntaxError as error:
        raise PromptError(
            f"{error.filename or path}: line {error.lineno}: {error.message}"
        ) from None
    except jinja2.UndefinedError as error:
        known = ", ".join(sorted(variables)) or "none"
        raise PromptError(
            f"{path}: {error.message}; variables that this prompt may use: {known}"
        ) from None
    text = text.strip()
    if not text:
        raise PromptError(f"{path}: the prompt is empty; write what the model should do")
    return text


def list_prompt_files(path: str | Path) -> list[Path]:
    """The prompt file and all that it includes, itself first: what a rule declares as input."""
    path = Path(path)
    environment = _make_environment(path)
    found: list[Path] = []
    queue = [path.name]
    while queue:
        name = queue.pop()
        file = path.parent / name
        if file in found:
            continue
        found.append(file)
        if file.exists():
            try:
                tree = environment.parse(file.read_text(encoding="utf-8"))
            except jinja2.TemplateSyntaxError:
                continue  # the rule that renders it reports the fault with its line
            queue += sorted(filter(None, meta.find_referenced_templates(tree)))
    return found


def _make_environment(path: Path) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(path.parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
