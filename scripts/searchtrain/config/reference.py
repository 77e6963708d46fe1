"""docs/config.md, written from the models: each setting with what it may be, and what it decides.

Invariant: every field of every section stands in it once; of a kind of section that stands in the
config several times, the first has a table and the others say what differs.
"""

from collections.abc import Iterator

from pydantic.fields import FieldInfo

from searchtrain.config.config import Config
from searchtrain.config.faults import describe_allowed
from searchtrain.config.rendering import write_flow
from searchtrain.config.section import OWN, Section, read_marks

LONGEST = 60
"""Characters of a default that still stands in the table."""
DECIDES = {
    OWN: "yes",
    "role": "model",
    "serve": "server",
    "workflow": "rules",
}
"""What a reader of a field is called in the table; other readers are rules."""
HEAD = """\
# Settings

Every knob, written from the typed settings by `python scripts/config.py` (`make config`).
[config/config.yaml](../config/config.yaml) is the same as a file, to copy from. Put what differs
into a file of your own and lay it on top with `--configfile mine.yaml`: mappings are merged key by
key, everything else replaces. An unknown key is an error; so is a value that is not allowed, and
the message names the key, the value and what is allowed.

*Decides* says what a change makes stale:

| | |
|---|---|
| yes | the stage of the section, of a model whatever asks it, and what follows |
| model | whatever asks a model: the setting is part of each request's key in the request cache |
| server | whatever asks the model or the retriever behind this server |
| rules | which rules there are and what their inputs are |
| the name of a rule | that rule, and what follows |
| no | nothing: it changes only how fast, how dear or where |

`<results>` is the folder of results.
"""


def render_reference() -> str:
    """The page; Markdown."""
    return HEAD + "\n".join(_render_section("", Config(), [OWN], {})) + "\n"


def _render_section(
    place: str, section: Section, own: list[str], seen: dict[type, str]
) -> Iterator[str]:
    """A table of the section's fields, then its sections; `own`: who reads what the section's own
    stage reads. `seen`: the place of each kind of section that has a table."""
    kind = type(section)
    if place:
        seen[kind] = place
    schema = kind.model_json_schema()
    rows, later, below = [], [], []
    for name, field in kind.model_fields.items():
        value = getattr(section, name)
        path = f"{place}.{name}" if place else name
        readers = _pass_on(read_marks(field)["readers"], own)
        if isinstance(value, Section):
            below.append((path, value, field, readers))
            continue
        default = write_flow(value)
        if len(default) > LONGEST:
            later.append((name, default))
            default = "below"
        allowed = describe_allowed(schema["properties"][name], schema)
        allowed = allowed.replace("a section", "a mapping")
        rows.append(
            f"| `{name}` | {_escape(allowed)} | {default if default == 'below' else _code(default)}"
            f" | {_name(readers)} | {_escape(_describe(field))} |"
        )
    if rows:
        yield "\n| setting | may be | default | decides | |\n|---|---|---|---|---|"
        yield from rows
    for name, default in later:
        yield f"\nDefault of `{name}`:\n\n```yaml\n{name}: {default}\n```"
    for path, value, field, readers in below:
        yield from _render_below(path, value, field, readers, seen)


def _render_below(
    path: str, section: Section, field: FieldInfo, readers: list[str], seen: dict[type, str]
) -> Iterator[str]:
    kind = type(section)
    yield f"\n{'#' * (path.count('.') + 2)} `{path}`\n"
    about = (field.description or "").removesuffix(".")
    if kind not in seen:
        text = " ".join((kind.__doc__ or "").split()).removesuffix(".")
        yield "; ".join(dict.fromkeys(filter(None, (text, about)))) + "."
        yield from _render_section(path, section, readers, seen)
        return
    first = seen[kind]
    yield "; ".join(filter(None, (f"The settings of [`{first}`](#{_link(first)})", about))) + "."
    yield f"A change decides: {_name(readers)}."
    if changes := section.changes():
        yield f"Defaults of its own: {_code(write_flow(changes))}."


def _pass_on(readers: list[str], own: list[str]) -> list[str]:
    """Who reads a field of a section that `own` read."""
    return [each for reader in readers for each in (own if reader == OWN else [reader])]


def _name(readers: list[str]) -> str:
    names = dict.fromkeys(DECIDES.get(reader, f"`{reader}`") for reader in readers)
    return ", ".join(names) or "no"


def _describe(field: FieldInfo) -> str:
    notes = read_marks(field)["notes"]
    text = field.description or ""
    about = [text.removesuffix(".") if notes else text]
    about += [f"`{key}`: {note}" for key, note in notes.items()]
    return " ".join("; ".join(filter(None, about)).split())


def _escape(text: str) -> str:
    """Text for a cell of a table: no markup of its own."""
    for mark in "\\|<*":
        text = text.replace(mark, f"\\{mark}")
    return text


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def _link(place: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return place.replace(".", "")
