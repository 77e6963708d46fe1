"""Which requests a rollout was made by, and what they cost, as far as the request cache has them.

Invariant: nobody is asked, and no file of the cache is changed.
"""

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from searchtrain.agent.formats import open_format
from searchtrain.agent.requests import Asked, list_requests
from searchtrain.config import AnswerForms, Config, Judge, Sampling, Shortcuts, Tag
from searchtrain.config.rounds import plan_rollouts, read_round
from searchtrain.core.errors import InputError
from searchtrain.curation import shortcuts
from searchtrain.data.results import Results
from searchtrain.models import verdicts
from searchtrain.models.prompts import render_prompt
from searchtrain.models.request import make_body, make_key
from searchtrain.models.request_cache import SECONDS, Found, look_up
from searchtrain.models.role import find_section, make_role
from searchtrain.questions.tag_form import TAG_SCHEMA
from searchtrain.story.chapters import Chapter

PROMPTS = "config/prompts"


def tell_requests(results: Results, place: str, row: Mapping[str, Any]) -> Chapter:
    """The requests of a row of `schemas.Trajectories`, or of `schemas.Predictions`."""
    config = results.config
    name, sampling = _find_writer(config, row, place)
    role = make_role(config, name, sampling, row["lineage"]["revision"])
    try:
        form = open_format(find_section(config, name).format, role)
    except InputError as error:
        return Chapter("requests", {"not traced": str(error)})
    if row.get("split", "").endswith("retrieve_read"):
        form = open_format("tags", role)
    asked = list_requests(row["messages"], row["lineage"]["seed"], role, form)
    found = look_up(config.cache, (key for each in asked for key in each.keys))
    rows = [
        _describe(each, found[key], role.price)
        for each in asked
        for key in each.keys
        if key in found
    ]
    traced = {kind: sum(each[kind] for each in rows) for kind in ("read", "written")}
    kept = {"read": row["prompt_tokens"], "written": row["completion_tokens"]}
    rest = {kind: kept[kind] - traced[kind] for kind in kept if kept[kind] > traced[kind]}
    facts = {
        "found": f"{len(rows)} requests in {config.cache}",
        "tokens": traced,
        "dollars": sum(each["dollars"] for each in rows),
        "its whole stage": None if "split" in row else _tell_stage(results, place),
        "not found": rest or None,
        "why": _explain_missing(config, row) if rest else None,
    }
    return Chapter("requests", facts, rows)


def tell_tagging(results: Results, question: str) -> dict[str, Any]:
    """The request for a question's tag, as facts; none where there is no prompt any more."""
    return _tell_object(results, "tag", "teacher", results.config.tag, question, TAG_SCHEMA)


def tell_judging(
    results: Results, stage: str, row: Mapping[str, Any], title: str
) -> dict[str, Any]:
    """The request for a judge's verdict, as facts whose names begin with `title`; none where there
    is no prompt any more.

    `stage`: `shortcuts` or `equivalents` of a row of `schemas.Trajectories`, or `judge` of an
    answer, with its golden ones.
    """
    config = results.config
    settings: Judge | Shortcuts | AnswerForms
    if stage == "shortcuts":
        prompt, settings = "judge_trajectory", config.shortcuts
        asked, schema = shortcuts.render_request(row), shortcuts.GENUINE_SCHEMA
    else:
        prompt, settings = "judge", config.judge if stage == "judge" else config.curate.answers
        asked = verdicts.render_request(row["question"], row["golden_answers"], row["answer"])
        schema = verdicts.VERDICT_SCHEMA
    facts = _tell_object(results, prompt, "judge", settings, asked, schema)
    return {title + name: fact for name, fact in facts.items()}


def _tell_object(
    results: Results,
    prompt: str,
    name: str,
    settings: Tag | Judge | Shortcuts | AnswerForms,
    request: str,
    schema: Mapping[str, Any],
) -> dict[str, Any]:
    """The one request of a stage that asks for an object (`models.asker`), as facts."""
    config, file = results.config, Path(PROMPTS, f"{prompt}.jinja")
    if not file.is_file():
        return {}
    role = make_role(config, name, settings.sampling)
    asked = [{"role": "system", "content": render_prompt(file)},
             {"role": "user", "content": request}]  # fmt: skip
    key = make_key(role, make_body(role, asked, settings.seed, schema=schema, brief=True))
    found = look_up(config.cache, [key]).get(key)
    if not found:
        return {"request": f"not found in {config.cache}"}
    told = _describe(Asked(1, (key,)), found, role.price)
    return {
        "asked": f"{found.answer['model'] or role.model}, prompt {file}",
        "request": {name: told[name] for name in ("read", "written", "dollars", "seconds",
                                                  "paid for", "in")
                    if told[name] is not None},
    }  # fmt: skip


def _tell_stage(results: Results, place: str) -> str | None:
    """What the job that wrote the table paid for, and what it found in the cache."""
    report = results.read(place, "trajectories_report.json")
    if not report:
        return None
    counts = [Counter(each) for each in report["models"].values()]
    paid, cached = (sum(each[name] for each in counts) for name in ("requests", "cached"))
    return f"{paid:,} requests paid for, {cached:,} answers from the cache"


def _find_writer(config: Config, row: Mapping[str, Any], place: str) -> tuple[str, Sampling]:
    """The role that wrote a row, and its sampling."""
    if "split" in row:
        return "student", config.models.student.sampling
    plan = plan_rollouts(config, read_round(place or "1"))
    more = row["wave"] == "more"
    return plan.role, config.trajectories.more.sampling if more else plan.sampling


def _describe(asked: Asked, found: Found, price: Mapping[str, float]) -> dict[str, Any]:
    answer = found.answer
    tokens = {"prompt": answer["prompt_tokens"], "completion": answer["completion_tokens"]}
    return {
        "turn": asked.turn,
        "read": tokens["prompt"],
        "written": tokens["completion"],
        "dollars": sum(count * price.get(kind, 0) / 1e6 for kind, count in tokens.items()),
        "seconds": answer.get(SECONDS),
        "ended": answer["finish_reason"],
        "paid for": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.bought)),
        "in": found.file.removesuffix(".sqlite"),
    }


def _explain_missing(config: Config, row: Mapping[str, Any]) -> str:
    reasons = ["turns that were taken back have left no message"]
    if config.refine.enabled:
        reasons.append("the refiner's requests hold whole pages, which no table keeps")
    return "; ".join([*reasons, "another cache, other prompts or settings made the rollout"])
