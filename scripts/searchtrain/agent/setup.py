"""How a stage's script reaches what it talks to: models, the refiner, and what it searches.

Whatever the workflow serves has an endpoint file, the rest a URL; `config` is what makes a result
stale, `runtime` (concurrency, timeouts, keys, prices) is not. Invariant: a client is made only
when its server is ready.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from searchtrain.agent.loop import Harness, Policy
from searchtrain.agent.refiner import Refiner
from searchtrain.config.limits import Limits, describe_limits
from searchtrain.config.settings import parse_settings
from searchtrain.core.files import digest
from searchtrain.models.client import ModelClient, open_model
from searchtrain.models.model import Model
from searchtrain.models.prompts import render_prompt
from searchtrain.models.request_cache import RequestCache
from searchtrain.search import Search
from searchtrain.search.retriever import RetrieverClient
from searchtrain.search.web import WebSearch, WebSettings
from searchtrain.serving import endpoint

SERVED = "served"
"""In `web.pages.hosts`: the web server that the workflow started."""


def add_agent_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of every stage that runs the agent."""
    parser.add_argument("--prompt", type=Path, required=True, help="the agent's system prompt")
    parser.add_argument("--search", required=True, help="URL or endpoint file of what it searches")
    parser.add_argument("--refiner", help="URL or endpoint file; left out: no refiner")
    parser.add_argument("--refine-prompt", type=Path, help="the refiner's system prompt")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the request cache")


def add_judge_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of every stage that asks the judge about each row of a table."""
    parser.add_argument("--prompt", type=Path, required=True)
    parser.add_argument("--judge", required=True, help="URL or endpoint file")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the request cache")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--config", type=json.loads, required=True)
    parser.add_argument("--runtime", type=json.loads, required=True)


def open_judge(args: argparse.Namespace, writer: str) -> tuple[str, ModelClient]:
    """The judge's rendered prompt and its client; `writer` names this stage's cache file."""
    system = render_prompt(args.prompt)
    cache = RequestCache(args.cache, writer)
    return system, open_model(
        "judge", args.judge, args.config["judge"], args.runtime["judge"], cache
    )


def open_policy(
    args: argparse.Namespace,
    model: Model,
    config: Mapping[str, Any],
    runtime: Mapping[str, Any],
    cache: RequestCache,
) -> Policy:
    """The agent's policy: `model` in the harness of this stage."""
    return Policy(model, open_harness(args, config, runtime, cache))


def open_harness(
    args: argparse.Namespace,
    config: Mapping[str, Any],
    runtime: Mapping[str, Any],
    cache: RequestCache,
) -> Harness:
    """The prompt, the limits, and the refiner if there is one."""
    limits = Limits(**config["limits"])
    system = render_prompt(args.prompt, **describe_limits(limits))
    return Harness(system, digest(system), limits, open_refiner(args, config, runtime, cache))


def open_refiner(
    args: argparse.Namespace,
    config: Mapping[str, Any],
    runtime: Mapping[str, Any],
    cache: RequestCache,
) -> Refiner | None:
    """The refiner of config section `refine`, or None when the stage has none."""
    if not args.refiner:
        return None
    settings = config["refine"]
    client = open_model("refiner", args.refiner, settings["model"], runtime["refiner"], cache)
    return Refiner(
        client,
        render_prompt(args.refine_prompt),
        seed=settings["seed"],
        max_document_chars=settings["max_document_chars"],
        max_failed_share=settings["max_failed_share"],
    )


def open_search(
    address: str, config: Mapping[str, Any], runtime: Mapping[str, Any], writer: str
) -> Search:
    """What the agent searches: the retriever, or (`config.search.web`) the web.

    `writer` names this stage's file in the web cache.
    """
    web = config["search"].get("web")
    if web is None:
        return RetrieverClient(endpoint.wait_ready(address, runtime["retriever"]["ready_timeout"]))
    transport = runtime["web"]
    url = endpoint.wait_ready(address, transport["ready_timeout"])
    merged = {
        **web,
        **{key: value for key, value in transport.items() if key != "ready_timeout"},
        "pages": {**web["pages"], **transport["pages"]},
    }
    settings = parse_settings(WebSettings, merged, "web")
    hosts = dict(web["pages"]["hosts"])
    for host in [host for host, target in hosts.items() if target == SERVED]:
        if address == url:
            del hosts[host]  # an engine elsewhere: the workflow has started no web
        else:
            hosts[host] = urlsplit(url).netloc
    return WebSearch(url, settings, RequestCache(settings.cache, writer), hosts)
