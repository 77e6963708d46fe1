"""A real HTTP server on 127.0.0.1 that is one kind of endpoint, for as long as a `with` lasts."""

import asyncio
import hashlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from conformance.endpoints.base import Asked, Endpoint
from conformance.kinds import KINDS, Kind
from conformance.ledger import Ledger
from conformance.refusals import Refused, refuse_openai
from conformance.streaming import list_chunks

EARLY = 0.9
"""Of the time that it was told to wait: who comes sooner than this share did not wait."""
TICK = 0.002
"""Seconds between the empty lines that keep a connection alive."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    root: str
    """`http://127.0.0.1:port`, without `/v1`."""
    kind: Kind
    ledger: Ledger

    @property
    def url(self) -> str:
        """The base URL as clients of OpenAI's take it."""
        return f"{self.root}/v1"

    @property
    def model(self) -> str:
        """The name to ask for."""
        return self.kind.models[0]


@contextmanager
def serve(name: str, **changes: Any) -> Iterator[Served]:
    """Run the kind `name` of `kinds.KINDS`, with changes to its fields or its mind's."""
    kind = KINDS[name].change(**changes)
    ledger = Ledger()
    app = make_app(kind, ledger)
    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    try:
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", kind, ledger)
    finally:
        # It closes its socket and ends by itself a moment later; nobody has to wait for that.
        server.should_exit = server.force_exit = True


def make_app(kind: Kind, ledger: Ledger) -> Starlette:
    """The endpoint as an application."""
    endpoint = kind.endpoint(kind, ledger)
    front = _Front(kind, ledger, endpoint)
    routes = [Route(path, front.serve_chat, methods=["POST"]) for path in endpoint.paths]
    for path in {each.replace("chat/completions", "models") for each in endpoint.paths}:
        routes.append(Route(path, front.serve_models))
    routes += [Route(path, front.serve_health) for path in endpoint.health]
    return Starlette(routes=routes)


class _Front:
    """What stands before an endpoint: keys, rates, bodies, streams, and the ledger."""

    def __init__(self, kind: Kind, ledger: Ledger, endpoint: Endpoint) -> None:
        self.kind = kind
        self.ledger = ledger
        self.endpoint = endpoint
        self.not_before: dict[str, float] = {}
        """By digest of a body: when it may come again."""

    async def serve_chat(self, request: Request) -> Response:
        ledger = self.ledger
        ledger.requests += 1
        ledger.in_flight += 1
        ledger.peak = max(ledger.peak, ledger.in_flight)
        try:
            # Others that are on their way count as in flight as well.
            await asyncio.sleep(TICK)
            return await self._answer(request, ledger.requests)
        except Refused as refused:
            ledger.refusals[refused.reason] += 1
            content, media = refused.render()
            return Response(content, refused.status, refused.headers, media_type=media)
        finally:
            ledger.in_flight -= 1

    async def _answer(self, request: Request, number: int) -> Response:
        raw = await request.body()
        self._check_key(request)
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            said = "We could not parse the JSON body of your request."
            raise refuse_openai("json", said)
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        attempt = self.ledger.begin(body, digest)
        self._check_rate(digest, attempt, number)
        asked = Asked(body, request.url.path, attempt, number)
        reply = self.endpoint.answer(asked)
        self.ledger.answers += "choices" in reply
        if body.get("stream"):
            usage = (body.get("stream_options") or {}).get("include_usage", False)
            return StreamingResponse(
                list_chunks(reply, include_usage=usage), media_type="text/event-stream"
            )
        content = json.dumps(reply, ensure_ascii=False).encode()
        if self.kind.keep_alive:
            return StreamingResponse(_keep_alive(content), media_type="application/json")
        return Response(content, media_type="application/json", headers=self._list_limits(number))

    def _check_key(self, request: Request) -> None:
        if self.kind.key and request.headers.get("authorization") != f"Bearer {self.kind.key}":
            raise self.endpoint.refuse_key()

    def _check_rate(self, digest: str, attempt: int, number: int) -> None:
        """Raise Refused (429) when it is this request's turn to be told to wait, or for good."""
        if self.kind.quota is not None and self.ledger.answers >= self.kind.quota:
            raise refuse_openai(
                "quota",
                "You exceeded your current quota, please check your plan and billing details.",
                code="insufficient_quota",
                type_="insufficient_quota",
                status=429,
            )
        now = time.monotonic()
        if now < self.not_before.pop(digest, 0):
            self.ledger.early += 1
        turn = self.endpoint.limits_rate and self.kind.every and number % self.kind.every == 0
        if attempt > self.kind.burst and not turn:
            return
        wait = self.kind.retry_after
        self.not_before[digest] = now + EARLY * wait
        raise refuse_openai(
            "rate",
            f"Rate limit reached for {self.kind.models[0]} in organization org-1 on requests per"
            " min (RPM): Limit 500, Used 500, Requested 1. Please try again in"
            f" {1000 * wait:.0f}ms.",
            code="rate_limit_exceeded",
            type_="requests",
            status=429,
            headers={
                "retry-after": f"{wait:g}",
                "x-ratelimit-limit-requests": "500",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": f"{1000 * wait:.0f}ms",
                "x-ratelimit-limit-tokens": "30000",
                "x-ratelimit-remaining-tokens": "29000",
                "x-ratelimit-reset-tokens": "20ms",
            },
        )

    def _list_limits(self, number: int) -> Mapping[str, str]:
        """OpenAI names its limits with every answer, too."""
        if not self.endpoint.limits_rate:
            return {}
        left = 500 - number % 500
        return {
            "x-ratelimit-limit-requests": "500",
            "x-ratelimit-remaining-requests": str(left),
            "x-request-id": f"req_{number:08d}",
        }

    async def serve_models(self, request: Request) -> Response:
        try:
            self._check_key(request)
        except Refused as refused:
            content, media = refused.render()
            return Response(content, refused.status, media_type=media)
        cards = {"object": "list", "data": self.endpoint.describe_models()}
        return Response(json.dumps(cards), media_type="application/json")

    async def serve_health(self, request: Request) -> Response:
        return Response("")


async def _keep_alive(content: bytes) -> AsyncIterator[bytes]:
    for _ in range(3):
        yield b"\n"
        await asyncio.sleep(TICK)
    yield content
