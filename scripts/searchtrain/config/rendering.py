"""The files that are written from the models: config.yaml and the schema for editors.

Of a kind of section that stands in the config several times, the first prints all fields, the
others what differs from its class's defaults. Invariant: read back, the YAML is `Config()`.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from searchtrain.config.config import Config
from searchtrain.config.section import Section, read_marks

WIDTH = 100
HEAD = """\
# yaml-language-server: $schema=schema.json
#
# Every knob of SearchTrain, at laptop scale; written by `make config`. Put your own values into
# another file and lay it on top:
# `snakemake results/test.json --cores all --configfile mine.yaml`. Unknown keys are errors.
# `<results>` is the folder of results; `pathvars: {results: elsewhere}` moves the whole tree, and
# `pathvars: {shared: somewhere}` lets several of them use one corpus and index.
"""


def render_config() -> str:
    """`config/config.yaml`: each field with its default, and its description as a comment."""
    return HEAD + "\n".join(_render_section(Config(), 0, set())) + "\n"


def render_schema() -> str:
    """`config/schema.json`: what an editor needs, a section a line."""
    schema = _strip(Config.model_json_schema())
    sections = schema.pop("$defs")
    lines = [f'"{name}": {json.dumps(section)}' for name, section in sections.items()]
    head = json.dumps(schema)[:-1]
    return head + ',\n"$defs": {\n' + ",\n".join(lines) + "\n}}\n"


def _render_section(section: Section, depth: int, seen: set[type]) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if name == "pathvars":
            continue  # an empty one says nothing, and the head of the file explains it
        yield from [""] * (depth == 0)
        about = field.description or ""
        if isinstance(value, Section):
            kind = type(value)
            if kind in seen:
                yield from _render_value(name, value.changes(), about, {}, depth)
                continue
            seen.add(kind)
            about = about or " ".join((kind.__doc__ or "").split())
            if not _is_explained(kind):
                yield from _render_value(name, value.model_dump(), about, {}, depth)
                continue
            yield from _comment(about, depth)
            yield _indent(f"{name}:", depth)
            yield from _render_section(value, depth + 1, seen)
        else:
            yield from _render_value(name, value, about, read_marks(field)["notes"], depth)


def _render_value(
    name: str, value: Any, about: str, notes: Mapping[str, str], depth: int
) -> Iterator[str]:
    """One line with the description at its end, else the description above."""
    text = _indent(f"{name}: {write_flow(value)}", depth)
    line = f"{text}  # {about}" if about else text
    if len(line) <= WIDTH and not notes:
        yield line
        return
    yield from _comment(about, depth)
    if isinstance(value, dict) and (notes or len(text) > WIDTH):
        yield _indent(f"{name}:", depth)
        for key, part in value.items():
            yield from _render_value(key, part, notes.get(key, ""), {}, depth + 1)
    elif len(text) > WIDTH:
        yield from textwrap.wrap(
            text, WIDTH, subsequent_indent=_indent("", depth + 1), break_long_words=False
        )
    else:
        yield text


def write_flow(value: Any) -> str:
    """A value on one line, as YAML."""
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**9)
    return text.removesuffix("...\n").strip()


def _comment(text: str, depth: int) -> list[str]:
    mark = _indent("# ", depth)
    return textwrap.wrap(text, WIDTH, initial_indent=mark, subsequent_indent=mark)


def _indent(text: str, depth: int) -> str:
    return "  " * depth + text


def _is_explained(kind: type[Section]) -> bool:
    """Whether its fields carry descriptions; else the section stands on one line."""
    return any(
        field.description or isinstance(field.default, Section)
        for field in kind.model_fields.values()
    )


def _strip(node: Any) -> Any:
    """Without titles, our own notes, and defaults that are sections."""
    if isinstance(node, list):
        return [_strip(part) for part in node]
    if not isinstance(node, dict):
        return node
    kept = {}
    for key, part in node.items():
        ours = key in ("readers", "notes") or (key == "title" and isinstance(part, str))
        if not ours and not (key == "default" and isinstance(part, dict)):
            text = key == "description" and isinstance(part, str)
            kept[key] = " ".join(part.split()) if text else _strip(part)
    return kept
