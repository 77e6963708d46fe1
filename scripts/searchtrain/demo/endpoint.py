"""The server of the scripted roles: an OpenAI-compatible endpoint.

    python -m searchtrain.demo.endpoint --model NAME --port 8000 --rates JSON --ledger FILE

    POST /v1/chat/completions   see `roles.write_reply`
    GET  /v1/models, /health, /stats

Invariant: an answer is a function of (messages, response format, seed) and the rates, but that
`http_500` and `hang` also depend on how often a request came before, so that a retry may succeed.
"""

import asyncio
import hashlib
from collections.abc import Mapping

import orjson
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from searchtrain.core import cli
from searchtrain.demo import server
from searchtrain.demo.draws import check_rates, draw_share
from searchtrain.demo.mistakes import RATES
from searchtrain.demo.requests import Refusal, make_completion, read_object
from searchtrain.demo.roles import write_reply
from searchtrain.demo.server import Ledger, send_json

HANG_SECONDS = 3600
GRACE_SECONDS = 10


def make_app(rates: Mapping[str, float], ledger: Ledger, model: str = "teacher") -> Starlette:
    """The endpoint as an application; raises InputError for bad rates."""
    routes = [
        Route("/v1/chat/completions", _serve_chat, methods=["POST"]),
        Route("/v1/models", _serve_models),
    ]
    rates = check_rates(rates, RATES, "teacher.rates")
    return server.make_app(routes, ledger, rates=rates, model=model)


async def _serve_chat(request: Request) -> Response:
    state = request.app.state
    try:
        body = read_object(await request.body(), "the body")
        digest = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
        state.attempts[digest] += 1
        attempt = state.attempts[digest]
        if draw_share(state.rates, "hang", digest, attempt):
            await asyncio.sleep(HANG_SECONDS)
        if draw_share(state.rates, "http_500", digest, attempt):
            return _send_error(500, "the teacher fails on purpose (teacher.rates.http_500)")
        text = write_reply(body, state.rates)
    except Refusal as refusal:
        return _send_error(400, str(refusal))
    reply = make_completion(body, text, digest, state.model)
    response = send_json(reply)

    async def count() -> None:
        state.ledger.add(digest)

    # Once it was sent: a request cut off does not count.
    response.background = BackgroundTask(count)
    return response


async def _serve_models(request: Request) -> Response:
    card = {"id": request.app.state.model, "object": "model", "created": 0, "owned_by": "demo"}
    return send_json({"object": "list", "data": [card]})


def _send_error(status: int, message: str) -> Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return send_json({"error": {"message": message, "type": kind, "code": status}}, status)


def main() -> None:
    """Serve until told to stop; requests in flight are finished first."""
    parser = server.make_parser(__doc__)
    parser.add_argument("--model", default="teacher")
    args = parser.parse_args()
    server.run(make_app(args.rates, Ledger(args.ledger), args.model), args, GRACE_SECONDS)


if __name__ == "__main__":
    cli.run(main)
