"""Whether the endpoints of a run can do what it will ask of them, found out before it spends.

Invariant: a run that the report lets pass was answered in every form that it will use.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from operator import attrgetter
from pathlib import Path

from searchtrain.agent.setup import open_search
from searchtrain.config import Config
from searchtrain.core.errors import SearchTrainError, ServiceError
from searchtrain.models.client import open_model
from searchtrain.models.request_cache import RequestCache
from searchtrain.report.probes import Finding, probe
from searchtrain.search import Search
from searchtrain.search.contents import split_contents
from searchtrain.search.corpus import read_rows

TITLES = 3
"""Titles that a retriever is asked for."""


def examine(
    config: Config, asked: Sequence[tuple[str, str, str]], servers: Mapping[str, str], prompts: Path
) -> list[Finding]:
    """Probe every endpoint.

    `asked`: stage, role and the section of its sampling; `servers`: role or search -> URL, those
    that the workflow starts left out.
    """
    findings = []
    cache = RequestCache(config.cache, "doctor")
    for stage, role, path in asked:
        if role not in servers:
            continue
        try:
            # An answer of one endpoint says nothing about another.
            revision = f"probe of {servers[role]}"
            sampling = attrgetter(path)(config)
            client = open_model(config, role, servers, sampling, cache, revision=revision)
        except SearchTrainError as error:
            findings.append(Finding(f"{role} for {stage}", "refused", str(error)))
        else:
            findings.append(asyncio.run(probe(stage, client, config, prompts)))
    for name in ("retriever", "web"):
        if name in servers:
            findings.append(_examine_search(config, name, servers[name]))
    return findings


def format_findings(findings: Sequence[Finding]) -> str:
    """`doctor.md`."""
    rows = [
        f"| {each.what} | **{each.state}** | {each.requests} | {each.tokens} | {each.dollars:.4f} |"
        f" {each.seconds:.1f} | {' '.join(each.note.split()).replace('|', '/')} |"
        for each in findings
    ]
    total = sum(each.dollars for each in findings)
    head = "| what is asked | state | requests | tokens | dollars | seconds | note |"
    lines = [head, "|---|---|---|---|---|---|---|", *rows]
    if not findings:
        lines = ["The workflow starts every server of this run itself: there is nothing to ask."]
    return "\n".join(["# Endpoints", "", *lines, "", f"These requests cost ${total:.4f}.", ""])


def check_findings(findings: Sequence[Finding]) -> None:
    """Raise ServiceError naming what is refused, and the remedy."""
    refused = [f"{each.what}: {each.note}" for each in findings if each.state == "refused"]
    if refused:
        raise ServiceError(
            f"{len(refused)} of {len(findings)} requests would be refused, so nothing else is sent"
            f" (probe: false in the config skips this check): {'; '.join(refused)}"
        )


def _examine_search(config: Config, name: str, url: str) -> Finding:
    """A title is asked for, and its passage must be among what comes back."""
    what, begun = f"{name} at {url}", time.monotonic()
    titles = _list_titles(config) if name == "retriever" else []
    try:
        search = open_search(config, {"search": url, name: url}, "doctor", name)
        note = asyncio.run(_look_up(search, titles, config.trajectories.limits.topk))
    except SearchTrainError as error:
        return Finding(what, "refused", str(error), seconds=time.monotonic() - begun)
    return Finding(what, "works", note, max(1, len(titles)), seconds=time.monotonic() - begun)


def _list_titles(config: Config) -> list[str]:
    """Some titles of the corpus, if it is at hand."""
    path = Path(config.data.corpus)
    if not path.exists():
        return []
    return [split_contents(passage)[0] for _, passage in islice(read_rows(path), TITLES)]


async def _look_up(search: Search, titles: Sequence[str], topk: int) -> str:
    try:
        answers = await search.search(list(titles) or ["Oslo"], topk)
    finally:
        await search.close()
    if not titles:
        first = ", ".join(split_contents(hit)[0] for hit in answers[0]) or "nothing"
        return f"no corpus to compare with (data.corpus); for 'Oslo' it finds {first}"
    for title, hits in zip(titles, answers, strict=True):
        found = [split_contents(hit)[0] for hit in hits]
        if title.casefold() not in map(str.casefold, found):
            raise ServiceError(
                f"asked for {title!r}, a title of data.corpus, it finds"
                f" {', '.join(found) or 'nothing'}: does it serve another corpus?"
            )
    return f"finds {len(titles)} of {len(titles)} titles of data.corpus"
