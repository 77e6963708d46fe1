"""The one form of a passage's `contents`: a quoted title, a newline and the text (Search-R1)."""

from collections.abc import Mapping
from typing import Any


def split_contents(passage: Mapping[str, Any]) -> tuple[str, str]:
    """A passage's title without its quotation marks, and its text."""
    title, _, text = str(passage["contents"]).partition("\n")
    return title.strip('"'), text
