"""Whether the endpoints of a run can do what it will ask of them, found out before it spends.

Invariant: a run that the report lets pass was answered in every form that it will use.
"""

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from operator import attrgetter
from pathlib import Path

from searchtrain.agent.setup import open_search
from searchtrain.config import Config
from searchtrain.core.errors import SearchTrainError, ServiceError
from searchtrain.data.question_file import read_questions
from searchtrain.models.client import open_model
from searchtrain.models.request_cache import RequestCache
from searchtrain.report.probes import Finding, probe
from searchtrain.search import Search
from searchtrain.search.contents import split_contents
from searchtrain.search.self_test import QUESTIONS, Question, check_search, sample_passages


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
    """A retriever is asked for its corpus (`search.self_test`), the web for one thing."""
    what, begun = f"{name} at {url}", time.monotonic()
    topk = config.trajectories.limits.topk
    try:
        search = open_search(config, {"search": url, name: url}, "doctor", name)
        if name == "web":
            test = _look_up(search, topk)
        else:
            corpus = _find_file(config, config.data.corpus)
            passages = sample_passages(corpus) if corpus else []
            questions = _list_questions(config)
            answerable = config.retriever.answerable
            test = check_search(search, topk, passages, questions, answerable)
        note = asyncio.run(_close_after(search, test))
    except SearchTrainError as error:
        return Finding(what, "refused", str(error), seconds=time.monotonic() - begun)
    return Finding(what, "works", note, 1, seconds=time.monotonic() - begun)


def _find_file(config: Config, name: str | None) -> Path | None:
    """A file of the section data, if it is there; the laptop world's may not be made yet."""
    results = config.pathvars.get("results", "results")
    file = Path(name.replace("<results>", results, 1)) if name else None
    return file if file and file.exists() else None


def _list_questions(config: Config) -> list[Question]:
    """Seed questions from all over their file."""
    file = _find_file(config, config.data.train)
    rows = read_questions(file)[0].to_dicts() if file else []
    some = rows[:: max(1, len(rows) // QUESTIONS)][:QUESTIONS]
    return [Question(row["question"], tuple(row["golden_answers"])) for row in some]


async def _close_after(search: Search, test: Coroutine[None, None, str]) -> str:
    try:
        return await test
    finally:
        await search.close()


async def _look_up(search: Search, topk: int) -> str:
    (hits,) = await search.search(["Oslo"], topk)
    found = ", ".join(split_contents(hit)[0] for hit in hits) or "nothing"
    return f"for 'Oslo' it finds {found}"
