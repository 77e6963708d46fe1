"""What a reader is asked: passages, then the question (retrieve, then read).

Invariant: a reader is asked in one form, in the baseline (`retrieve_read`) and in training alike.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from searchtrain.agent import grammar
from searchtrain.search.contents import split_contents

BEGUN = re.compile(r"Doc \d+ \(Title: ")
PASSAGE = re.compile(r'Doc \d+ \(Title: ("[^\n]*?"|[^\n]*?)\) (.*)', re.DOTALL)
"""A passage as `grammar.render_observation` writes it."""
QUERY = "Query: "
NOTHING = "No passage was found."


def render_request(
    question: str, passages: Iterable[Mapping[str, Any]], max_chars: int | None = None
) -> str:
    """What a reader is asked; `max_chars`: of the passages, None: all that they say."""
    shown = "\n\n".join("\n".join(split_contents(passage)) for passage in passages)[:max_chars]
    return f"{shown}\n\nQuestion: {question}\nAnswer:".lstrip()


def list_passages(messages: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """The passages `{contents}` that a rollout was shown, in that order, each once.

    One that an observation's limit cut is as short as it was shown, and left out where that cut
    its title.
    """
    shown: dict[str, None] = {}
    for message in messages:
        if message["role"] != grammar.OBSERVATION:
            continue
        for block in _split_blocks(grammar.neutralise(message["content"])):
            if found := PASSAGE.fullmatch(block):
                shown[f"{found[1]}\n{found[2]}"] = None
    return [{"contents": contents} for contents in shown]


def _split_blocks(observation: str) -> list[str]:
    """Each passage with its lines, without what stands between the passages."""
    blocks: list[list[str]] = []
    within = False
    for line in observation.strip("\n").split("\n"):
        if BEGUN.match(line):
            blocks.append([])
            within = True
        elif line.startswith(QUERY) or line == NOTHING:
            within = False
        if within:
            blocks[-1].append(line)
    return ["\n".join(lines) for lines in blocks]
