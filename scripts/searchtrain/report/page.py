"""Topics as one HTML page that needs nothing else: no server, no network, no other file.

The library that draws (Vega, Vega-Lite, vega-embed; BSD) is packed into the page, compressed.
Invariant: no text of a run is markup or code: the template escapes it, charts hold it as JSON.
"""

import base64
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from searchtrain.core.errors import InputError
from searchtrain.core.files import read_text
from searchtrain.report.figure import Table, Topic
from searchtrain.report.palette import style_charts

LIBRARY = ("vega/vega.js", "vega-lite/vega-lite.js", "vega-embed/vega-embed.js")
"""Files of the library, in the order in which they load."""


class Page:
    """Writes pages by one template and one library."""

    def __init__(self, template: Path, library: Path) -> None:
        """`template`: Jinja; `library`: the folder of `LIBRARY`. Raises InputError for one that
        lacks a file."""
        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                                  lstrip_blocks=True)  # fmt: skip
        self._template = environment.from_string(read_text(template, "a template"))
        self._library = pack_library(library)

    def render(
        self, title: str, about: str, topics: Sequence[Topic], scores: Table | None = None
    ) -> str:
        """The page; more topics than one have a table of contents, and `scores` stand on top."""
        shown = [topic for topic in topics if topic.figures]
        charts = [
            chart for topic in shown for figure in topic.figures for _, chart in figure.charts
        ]
        return self._template.render(
            title=title,
            about=about,
            topics=shown,
            scores=scores,
            charts=quote_json(charts),
            styles=quote_json({scheme: style_charts(scheme) for scheme in ("light", "dark")}),
            library=self._library,
        )


def pack_library(folder: Path) -> str:
    """The library as one text: compressed, in base64."""
    missing = [name for name in LIBRARY if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{folder / missing[0]}: no such file; give the folder that Snakemake brings its"
            " report's libraries in (snakemake/assets/data)"
        )
    source = "\n;\n".join((folder / name).read_text(encoding="utf-8") for name in LIBRARY)
    return base64.b64encode(gzip.compress(source.encode(), mtime=0)).decode()


def quote_json(value: Any) -> str:
    """JSON that may stand inside a `script` element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
