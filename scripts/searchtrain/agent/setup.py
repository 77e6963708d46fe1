"""What a stage's script opens before it begins: models, the refiner, and what it searches.

Whatever the workflow serves has an endpoint file, the rest a URL. Invariant: a client is made only
when its server is ready.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from searchtrain.agent.formats import open_format
from searchtrain.agent.loop import Harness
from searchtrain.agent.refiner import Refiner
from searchtrain.config import Config, Limits, describe_limits
from searchtrain.core.files import digest
from searchtrain.models.client import open_model
from searchtrain.models.prompts import render_prompt
from searchtrain.models.request_cache import RequestCache
from searchtrain.models.role import Role, find_section
from searchtrain.search import Search
from searchtrain.search.retriever import RetrieverClient
from searchtrain.search.web import WebSearch
from searchtrain.serving.endpoint import wait_ready

SERVED = "served"
"""In `web.pages.hosts`: the web server that the workflow started."""

Servers = Mapping[str, str]
"""Server (a role, `search`, `retriever`) -> URL or endpoint file."""


def add_server_argument(parser: argparse.ArgumentParser) -> None:
    """The argument of every stage that talks to servers."""
    parser.add_argument(
        "--servers", type=json.loads, required=True,
        help='JSON object of server: URL or endpoint file, as {"teacher": "http://host/v1"}',
    )  # fmt: skip


def add_agent_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of every stage that runs the agent."""
    parser.add_argument("--prompt", type=Path, required=True, help="the agent's system prompt")
    parser.add_argument("--refine-prompt", type=Path, help="the refiner's; left out: no refiner")
    add_server_argument(parser)


def open_harness(
    config: Config, role: Role, limits: Limits, args: argparse.Namespace, cache: RequestCache
) -> Harness:
    """The prompt, the limits, the format, and the refiner if there is one.

    `role`: who answers; `args`: those of `add_agent_arguments`. Raises InputError for a format that
    the role's endpoint does not take.
    """
    refiner, settings = None, config.refine
    if settings.enabled and args.refine_prompt:
        refiner = Refiner(
            open_model(config, "refiner", args.servers, settings.sampling, cache),
            render_prompt(args.refine_prompt),
            seed=settings.seed,
            max_document_chars=settings.max_document_chars,
            max_failed_share=settings.max_failed_share,
        )
    return make_harness(config, role, limits, args.prompt, refiner)


def make_harness(
    config: Config,
    role: Role,
    limits: Limits,
    prompt: Path,
    refiner: Refiner | None = None,
    hint: str = "",
) -> Harness:
    """The prompt as the role's format words it, the limits and the format; `hint`: what the prompt
    of the teacher gives away."""
    name = find_section(config, role.name).format
    thought = config.trajectories.thought
    told = describe_limits(limits, name)
    system = render_prompt(prompt, thought=thought, hint=hint, **told)
    return Harness(system, digest(system), limits, refiner, open_format(name, role))


def open_search(config: Config, servers: Servers, writer: str, name: str = "search") -> Search:
    """What the agent searches: the retriever or the web, as `search` says.

    `writer` names this stage's file in the web cache; `name`: `retriever` for that one alone.
    """
    if name == "retriever" or config.search == "retriever":
        return RetrieverClient(wait_ready(servers[name], config.retriever.ready_timeout))
    url = wait_ready(servers[name], config.web.ready_timeout)
    settings, hosts = config.web, dict(config.web.pages.hosts)
    served = servers[name] != url
    if served:
        settings = settings.model_copy(update={"api_key_env": ""})  # the laptop's web needs no key
    for host in [host for host, target in hosts.items() if target == SERVED]:
        if served:
            hosts[host] = urlsplit(url).netloc
        else:
            del hosts[host]  # an engine elsewhere: the workflow has started no web
    return WebSearch(url, settings, RequestCache(settings.cache, writer), hosts)
