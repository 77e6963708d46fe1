"""The documentation: its commands are known, its links lead somewhere, what it names is there.

That its commands run is shown on a build: test_workflow.py.
"""

import re

import pytest
import yaml

from helpers.checkout import ROOT
from helpers.commands import classify, read_words
from helpers.pages import (
    list_anchors,
    list_commands,
    list_files,
    list_links,
    list_pages,
    read_page,
    split_commands,
)
from searchtrain.config import read_config

PAGES = list_pages()
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_leads_to_what_is_there(page):
    broken = [
        f"{file.name}#{anchor}"
        for file, anchor in list_links(page)
        if not file.exists() or (anchor and anchor not in list_anchors(file))
    ]
    assert not broken


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_known(page):
    for command in list_commands(page):
        classify(command)
        words = read_words(command)
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= TARGETS, command


def test_an_unknown_command_is_a_fault():
    with pytest.raises(ValueError, match="does not know how to run: A=1 curl"):
        classify("A=1 curl --silent host")
    assert split_commands("a 'b\nc' \\\n  d  # e\n# f\ng") == ["a 'b\nc' \\\n  d  # e", "g"]


def test_the_readme_begins_with_make():
    assert list_commands("README.md")[0].split("#")[0].strip() == "make"


@pytest.mark.parametrize("page", [page for page in PAGES if list_files(page)])
def test_a_file_that_a_page_shows_is_a_config(page):
    for text in list_files(page).values():
        read_config(yaml.safe_load(text))


def test_every_page_stands_in_the_index_and_every_prompt_is_explained():
    index = {file.resolve() for file, _ in list_links("docs/README.md")}
    assert index >= {ROOT / page for page in PAGES} - {ROOT / "README.md", ROOT / "docs/README.md"}
    explained = set(re.findall(r"`(\w+)` \((?:tagging|the )", read_page("docs/own_data.md")))
    assert explained == {file.stem for file in (ROOT / "config/prompts").glob("*.jinja")}
