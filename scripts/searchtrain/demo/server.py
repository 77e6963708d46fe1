"""What the demo's two servers share: ledger, health and statistics, arguments, and a clean end.

Invariant: the ledger keeps its counts across restarts, and a kill loses nothing; neither /health
nor /stats stands in it.
"""

import argparse
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route


class Ledger:
    """Counts answered requests by digest."""

    def __init__(self, path: Path | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.file: int | None = None
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                self.counts.update(path.read_text(encoding="utf-8").split())
            self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def add(self, digest: str) -> None:
        """Count one answered request, as one unbuffered line."""
        self.counts[digest] += 1
        if self.file is not None:
            os.write(self.file, f"{digest}\n".encode())

    def summarise(self) -> dict[str, Any]:
        """Requests answered, how many of them differ, and how many came again."""
        answered, distinct = self.counts.total(), len(self.counts)
        return {"answered": answered, "distinct": distinct, "repeated": answered - distinct}


def make_app(
    routes: Sequence[BaseRoute],
    ledger: Ledger,
    *,
    summarise: Callable[[Ledger], dict[str, Any]] = Ledger.summarise,
    **state: Any,
) -> Starlette:
    """An application with `routes`, GET /health and GET /stats.

    Its state holds `ledger`, `attempts` (to be counted by digest) and `state`.
    """

    async def serve_health(_: Request) -> Response:
        return send_json({"status": "ok"})

    async def serve_stats(_: Request) -> Response:
        return send_json(summarise(ledger))

    shared = [Route("/health", serve_health), Route("/stats", serve_stats)]
    app = Starlette(routes=[*shared, *routes])
    app.state = State({**state, "ledger": ledger, "attempts": Counter()})
    return app


def send_json(value: Any, status: int = 200) -> Response:
    """A response with a value as JSON."""
    return Response(orjson.dumps(value), status, media_type="application/json")


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments of a server: where it listens, its rates and its ledger."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rates", type=json.loads, default={}, help="JSON: kind -> share")
    parser.add_argument("--ledger", type=Path, help="file that counts answered requests")
    return parser


def run(app: Starlette, args: argparse.Namespace, grace: int) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight have `grace` seconds to finish."""
    import uvicorn

    uvicorn.run(
        app,
        host=args.host,
        port=args.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=grace,
    )
