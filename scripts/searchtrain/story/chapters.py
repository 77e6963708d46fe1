"""A story in chapters, for people and as JSON: facts, a table, texts.

Invariant: nothing that a model, a question or a page wrote can change the terminal, and no line is
wider than `WIDTH`; what is cut says how long it is.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from searchtrain.core.terminal import show_text
from searchtrain.core.text_table import format_table

WIDTH = 100
LABEL = 16
LONGEST = 700
"""Characters of one text that are shown."""
CELL = 40
"""Characters of one cell of a table that are shown."""
BETWEEN = " · "


@dataclass
class Chapter:
    """One part of a story."""

    title: str
    facts: dict[str, Any] = field(default_factory=dict)
    """Label -> text, number or list of texts; None and empty lists are not told."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    """(Label, text): who says or reads what."""
    drawing: list[str] = field(default_factory=list)
    """Lines that stand as they are."""


@dataclass
class Story:
    """What is known of one id."""

    id: str
    what: str
    """In one sentence."""
    chapters: list[Chapter]

    def to_json(self) -> dict[str, Any]:
        """All of it, with whole texts."""
        return asdict(self)


def format_story(story: Story) -> str:
    """The story as text."""
    lines = textwrap.wrap(show_text(f"{story.id}: {story.what}", LONGEST), WIDTH)
    for chapter in story.chapters:
        lines += ["", chapter.title.upper(), *_format_chapter(chapter)]
    return "\n".join(lines)


def _format_chapter(chapter: Chapter) -> Iterator[str]:
    for label, value in chapter.facts.items():
        if value is not None and value != []:
            yield from _format_text(label, _write(value))
    if chapter.rows:
        cells = [{key: _shorten(value) for key, value in row.items()} for row in chapter.rows]
        yield from (_cut(f"  {line}") for line in format_table(cells).split("\n"))
    yield from (_cut(show_text(f"  {line}")) for line in chapter.drawing)
    for label, text in chapter.texts:
        yield from _format_text(label, text)


def _format_text(label: str, text: str) -> Iterator[str]:
    """The label, and beside it the text in lines of its own."""
    shown = show_text(text).expandtabs(4)
    if len(shown) > LONGEST:
        shown = f"{shown[:LONGEST]}… ({len(text):,} characters)"
    margin = " " * (LABEL + 2)
    lines = [part for line in shown.split("\n") for part in _wrap(line, WIDTH - len(margin))]
    yield f"  {show_text(label):<{LABEL}}{lines[0]}".rstrip()
    yield from (f"{margin}{line}".rstrip() for line in lines[1:])


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def _wrap(line: str, width: int) -> list[str]:
    return textwrap.wrap(line, width, replace_whitespace=False, break_on_hyphens=False) or [""]


def _write(value: Any) -> str:
    if isinstance(value, Mapping):
        return BETWEEN.join(f"{key} {_write(part)}" for key, part in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return BETWEEN.join(map(_write, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _shorten(value: Any) -> Any:
    if not isinstance(value, str):
        return ("yes" if value else "no") if isinstance(value, bool) else value
    shown = show_text(" ".join(value.split()))
    return shown if len(shown) <= CELL else f"{shown[: CELL - 1]}…"
