"""The pages of the documentation: the commands, the files and the links in them."""

import re
import shlex
from functools import cache
from pathlib import Path

from helpers.checkout import ROOT

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FILE = re.compile(r"# ([\w/-]+\.yaml)\n")
"""The first line of a block that shows a file."""


def list_pages() -> list[str]:
    """What a reader reads, from the root of the repository."""
    docs = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "docs").rglob("*.md"))
    return ["README.md", "CONTRIBUTING.md", "AGENTS.md", *docs]


@cache
def read_page(page: str) -> str:
    """Its text."""
    return (ROOT / page).read_text()


def list_commands(page: str) -> list[str]:
    """The commands of its ```bash blocks, each as it is typed, without comments."""
    commands = []
    for language, text in FENCE.findall(read_page(page)):
        if language == "bash":
            commands += split_commands(text)
    return commands


def split_commands(text: str) -> list[str]:
    """A script's commands; one goes on behind a backslash and inside quotes."""
    commands, begun = [], ""
    for line in text.splitlines():
        begun += line + "\n"
        if line.endswith("\\"):
            continue
        try:
            words = shlex.split(begun, comments=True)
        except ValueError:  # an open quotation
            continue
        if words:
            commands.append(begun.strip())
        begun = ""
    assert not begun, f"no end: {begun}"
    return commands


def list_files(page: str) -> dict[str, str]:
    """The YAML files that it shows, by the name in their first line."""
    blocks = [text for language, text in FENCE.findall(read_page(page)) if language == "yaml"]
    return {match[1]: text for text in blocks if (match := FILE.match(text))}


def list_links(page: str) -> list[tuple[Path, str]]:
    """File and anchor, which may be empty, of each link that stays in the repository."""
    links = []
    for target in LINK.findall(FENCE.sub("", read_page(page))):
        if not re.match(r"https?:|mailto:", target):
            name, _, anchor = target.partition("#")
            links.append(((ROOT / page).parent / name if name else ROOT / page, anchor))
    return links


def list_anchors(file: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    text = FENCE.sub("", file.read_text())
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}
