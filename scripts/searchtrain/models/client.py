"""The HTTP client of a model: one `ModelClient` per role, over the OpenAI API.

It carries requests and counts them; what is sent stands in `request`, what counts of a reply in
`reply`, what a refusal means in `refusal`.
Invariant: an answer is in the request cache before the caller sees it, and a failure never is.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from searchtrain.config import Config, Sampling
from searchtrain.config.dialects import Dialect
from searchtrain.core.errors import ModelError, SearchTrainError, ServiceError
from searchtrain.models.identity import check_context, check_name, is_same_model
from searchtrain.models.model import Completion, Message
from searchtrain.models.purchase import Purchaser, find_excess, read_retry_after
from searchtrain.models.refusal import Refusal, adapt, compare, find_room, read_refusal
from searchtrain.models.reply import make_completion, read_reply
from searchtrain.models.request import make_body, make_key
from searchtrain.models.request_cache import SECONDS, RequestCache
from searchtrain.models.role import Role, find_section, make_role
from searchtrain.models.transport import make_options
from searchtrain.serving.endpoint import wait_ready

logger = logging.getLogger(__name__)

CHECK_KEY = "check the API key"
REFUSED = {
    401: CHECK_KEY, 402: "check the account's balance", 403: CHECK_KEY,
    404: "check the URL and the model's name",
}  # fmt: skip
"""Statuses that no other request would escape: they end the stage at once; and their remedies."""
RETRIED = {408, 409, 424, 429}
"""Statuses that may pass, beside those of 500 and above."""
BACKOFF_S = 0.2
ANOTHER_SEED = 1_000_003
"""Between the seeds with which an empty answer is asked for again."""
MANY = 20
"""Requests that one attempt may take while it learns what the endpoint takes, and for how long an
answer there is room."""


class ModelClient:
    """A `Model` behind an endpoint; safe for thousands of concurrent callers on one event loop.

    `usage` counts `requests`, `cached`, `retries`, `repairs`, `adapted` (forms of a request that
    the endpoint refused), `shortened` (answers that had less room than asked for),
    `prompt_tokens`, `completion_tokens` (tokens of answers that were paid for now) and, of answers
    from the cache, `cached_prompt_tokens` and `cached_completion_tokens`.
    """

    def __init__(self, role: Role, url: str, cache: RequestCache | None) -> None:
        self.role = role
        self.url = url.rstrip("/")
        self.usage: Counter[str] = Counter()
        self._declared = self._dialect = role.speaks
        """What the endpoint takes, as far as it has been found out."""
        self._purchaser = Purchaser(
            cache,
            self.usage,
            concurrency=role.concurrency,
            attempts=role.attempts,
            backoff=BACKOFF_S,
            find_excess=lambda: find_excess(f"models.{role.name}", self.cost(), role.max_dollars),
        )
        base = self.url if self.url.endswith("/v1") else f"{self.url}/v1"
        self._client = openai.AsyncOpenAI(
            base_url=base,
            api_key=role.read_key(),
            max_retries=0,
            timeout=role.timeout,
            http_client=openai.DefaultAsyncHttpxClient(**make_options(base)),
        )

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        seed: int,
        stop: Sequence[str] = (),
        prefill: str = "",
        schema: Mapping[str, Any] | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
        brief: bool = False,
    ) -> Completion:
        """See `Model.complete`; `prefill` needs a dialect that continues messages.

        Raises ModelError when the attempts are used up, ServiceError when the endpoint refuses
        everyone or another model answers than the one that may.
        """
        brief = brief or bool(prefill or schema)
        render = partial(
            make_body, self.role, messages,
            stop=stop, prefill=prefill, schema=schema, tools=tools, brief=brief,
        )  # fmt: skip
        key = make_key(self.role, render(seed=seed, dialect=self._declared))
        stored = self._purchaser.recall(key)
        if stored is not None:
            self._count("cached_", stored)
            completion = _read_answer(stored, cached=True)
            self._check_answerer(completion.model, "the request cache")
            return completion
        empty = 0

        async def attempt() -> dict[str, Any]:
            nonlocal empty
            began = time.monotonic()
            try:
                answer = await self._ask(render, seed + ANOTHER_SEED * empty, brief=brief)
                return answer | {SECONDS: round(time.monotonic() - began, 3)}
            except ModelError as error:
                empty += error.kind == "empty"
                raise

        return _read_answer(await self._purchaser.buy(key, attempt), cached=False)

    def list_learnt(self) -> dict[str, Any]:
        """The properties in which the endpoint differs from the role's dialect."""
        return compare(self._declared, self._dialect)

    def stop(self) -> None:
        """See `Model.stop`; what is in flight is cached, too."""
        self._purchaser.stop()

    def cost(self, cached: bool = False) -> float:
        """See `Model.cost`; at the role's price."""
        return sum(
            self.usage[f"{origin}{kind}_tokens"] * self.role.price.get(kind, 0) / 1e6
            for kind in ("prompt", "completion")
            for origin in ("", "cached_")[: 1 + cached]
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _ask(
        self, render: Callable[..., dict[str, Any]], seed: int, *, brief: bool
    ) -> dict[str, Any]:
        """One attempt, with as many requests as it takes to be understood.

        `render(seed=…, dialect=…)`: the body; `brief`: no thought was asked for.
        """
        room: int | None = None
        for _ in range(MANY):
            dialect = self._dialect
            body = render(seed=seed, dialect=dialect)
            if room is not None:
                body[dialect.length] = room
            answer = await self._send(body, dialect, brief=brief)
            if not isinstance(answer, Refusal):
                return answer
            if answer.has_no_room and answer.status < 500:
                room = find_room(answer, body.get(dialect.length, 0))
                if not room:
                    raise ModelError(
                        f"{self.url}: the conversation is longer than the model's context:"
                        f" {answer.message[:300]}",
                        "context_length",
                    )
                self.usage["shortened"] += 1
            elif not self._learn(answer, dialect, body):
                raise self._classify(answer)
        raise ModelError(f"{self.url}: refused {MANY} forms of one request", "contract")

    def _learn(self, refusal: Refusal, dialect: Dialect, body: Mapping[str, Any]) -> bool:
        """Whether the request may be sent again in another form, learnt from a refusal."""
        if refusal.status not in (200, 400, 422):
            return False
        if self._dialect is not dialect:
            return True  # another request has learnt in the meantime
        learnt = adapt(dialect, refusal, body)
        if learnt is None:
            return False
        self._dialect = learnt
        logger.warning(
            "%s refuses a form of models.%s and is asked in another one: %s (%s); set wire to it",
            self.url, self.role.name, compare(dialect, learnt), refusal.message[:200],
        )  # fmt: skip
        self.usage["adapted"] += 1
        return True

    async def _send(
        self, body: dict[str, Any], dialect: Dialect, *, brief: bool
    ) -> dict[str, Any] | Refusal:
        """One request; returns what counts of the reply, or why it was refused for good."""
        try:
            answer = read_reply(reply := await self._create(body, dialect.streams), brief=brief)
        except openai.APIStatusError as error:
            refusal = read_refusal(error.status_code, error.body or error.response.text)
            if not self._is_passing(refusal):
                return refusal
            raise self._classify(
                refusal, read_retry_after(error.response.headers.get("retry-after", ""))
            ) from None
        except openai.APITimeoutError:
            remedy = f"check the server or raise models.{self.role.name}.timeout"
            fault = f"{self.url}: no answer within {self.role.timeout:g} s; {remedy}"
            raise ModelError(fault, "timeout", passing=True) from None
        except openai.APIConnectionError as error:
            fault = f"{self.url}: {error.__cause__ or error}; check that the server is up"
            raise ModelError(fault, "connection", passing=True) from None
        except openai.APIError as error:
            # In a stream an error comes without a status.
            refusal = read_refusal(200, error.body or error.message)
            raise self._classify(refusal) from None
        except (ValueError, TypeError) as error:
            fault = f"{self.url}: the answer is not an OpenAI chat completion ({error})"
            raise ModelError(fault, "contract") from None
        if answer is None:
            # A router answers 200 before the provider has failed.
            if said := getattr(reply, "error", None):
                refusal = read_refusal(200, {"error": said})
                if not self._is_passing(refusal):
                    return refusal
                raise self._classify(refusal)
            raise ModelError(f"{self.url}: the answer holds no choices", "contract")
        self._check_answerer(answer["model"], self.url)
        self._count("", answer)
        return answer

    async def _create(self, body: Mapping[str, Any], streams: bool) -> Any:
        """The reply; every field of the body is sent as it is."""
        sent = {**body, **body.get("extra_body", {})}
        sent.pop("extra_body", None)
        if not streams:
            # `chat.completions.create` looks through every message for names to translate, which
            # takes as long as all the rest of a request.
            return await self._client.post("/chat/completions", body=sent, cast_to=ChatCompletion)
        async with self._client.chat.completions.stream(
            model=sent.pop("model"),
            messages=sent.pop("messages"),
            stream_options={"include_usage": True},
            extra_body=sent,
        ) as stream:
            return await stream.get_final_completion()

    def _check_answerer(self, model: str, place: str) -> None:
        """Raise ServiceError unless `model`, if known, may answer; `place`: of the answer."""
        if self.role.only and model and not is_same_model(model, self.role.only):
            raise ServiceError(
                f"{place}: {model!r} answered, and only {self.role.only!r} (task.teacher) may write"
                f" training data; serve that model, and set models.{self.role.name}.revision to a"
                " new value if another one has answered before"
            )

    def _count(self, origin: str, answer: Mapping[str, Any]) -> None:
        for kind in ("prompt_tokens", "completion_tokens"):
            self.usage[origin + kind] += answer[kind]

    def _is_passing(self, refusal: Refusal) -> bool:
        return (refusal.status in RETRIED or refusal.status >= 500) and not refusal.is_final

    def _classify(self, refusal: Refusal, retry_after: float = 0.0) -> SearchTrainError:
        status, text = refusal.status, refusal.message[:300]
        said = f"{self.url}: HTTP {status} for {self.role.model}: {text}"
        if status in REFUSED:
            return ServiceError(f"{said}; {REFUSED[status]}")
        if refusal.is_final:
            return ServiceError(f"{said}; check the model's name and the account")
        passing = self._is_passing(refusal)
        if not passing and (name := refusal.names_field):
            return ServiceError(
                f"{said}; it does not take {name}: take it out of the sampling (null), or correct"
                f" models.{self.role.name}.dialect or wire"
            )
        return ModelError(
            f"{self.url}: HTTP {status}: {text}; see the server's log",
            f"http_{status}",
            passing=passing,
            retry_after=retry_after,
        )


def _read_answer(stored: Mapping[str, Any], *, cached: bool) -> Completion:
    """An answer of the cache, without what is there for people."""
    counts = {name: value for name, value in stored.items() if name != SECONDS}
    return make_completion(counts, cached=cached)


def open_model(
    config: Config,
    name: str,
    servers: Mapping[str, str],
    sampling: Sampling,
    cache: RequestCache | None,
    *,
    server: str = "",
    revision: str | None = None,
) -> ModelClient:
    """A client of the role `name` as soon as its server is ready.

    `servers`: server -> URL or endpoint file, where the role has its own name or that of `server`;
    `revision`: in place of the role's. Raises ServiceError when the server fails to start, or says
    that it is not the model that the task demands of this role.
    """
    role = make_role(config, name, sampling, revision)
    url = wait_ready(servers[server or name], find_section(config, name).ready_timeout)
    if role.only:
        check_name(url, role.read_key(), role.model, role.only)
    check_context(url, role)
    return ModelClient(role, url, cache)
