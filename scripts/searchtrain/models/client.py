"""The HTTP client of a model: one `ModelClient` per role, over the OpenAI API.

It carries requests and counts them; what is sent and what counts of a reply stands in `request`.
Invariant: an answer is in the request cache before the caller sees it, and a failure never is.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import openai

from searchtrain.config import Config, Sampling
from searchtrain.core.errors import ModelError, SearchTrainError, ServiceError
from searchtrain.core.network import is_loopback
from searchtrain.models.identity import check_name, is_same_model
from searchtrain.models.model import Completion, Message
from searchtrain.models.purchase import Purchaser, read_retry_after
from searchtrain.models.request import make_body, make_key, read_reply
from searchtrain.models.request_cache import RequestCache
from searchtrain.models.role import Role, find_section, make_role
from searchtrain.serving.endpoint import wait_ready

CHECK_KEY = "check the API key"
REFUSED = {401: CHECK_KEY, 403: CHECK_KEY, 404: "check the URL and the model's name"}
"""Statuses that no other request would escape: they end the stage at once; and their remedies."""
RETRIED = {408, 409, 429}
"""Statuses that may pass, beside those of 500 and above."""
BACKOFF_S = 0.2


class ModelClient:
    """A `Model` behind an endpoint; safe for thousands of concurrent callers on one event loop.

    `usage` counts `requests`, `cached`, `retries`, `repairs`, `prompt_tokens`,
    `completion_tokens` (tokens of answers that were paid for now) and, of answers from the cache,
    `cached_prompt_tokens` and `cached_completion_tokens`.
    """

    def __init__(self, role: Role, url: str, cache: RequestCache | None) -> None:
        self.role = role
        self.url = url.rstrip("/")
        self.usage: Counter[str] = Counter()
        self._purchaser = Purchaser(
            cache,
            self.usage,
            concurrency=role.concurrency,
            attempts=role.attempts,
            backoff=BACKOFF_S,
        )
        base = self.url if self.url.endswith("/v1") else f"{self.url}/v1"
        self._client = openai.AsyncOpenAI(
            base_url=base,
            api_key=role.read_key(),
            max_retries=0,
            timeout=role.timeout,
            # A proxy from the environment must not be asked for this machine's own servers.
            http_client=openai.DefaultAsyncHttpxClient(trust_env=not is_loopback(base)),
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
    ) -> Completion:
        """See `Model.complete`; `prefill` needs dialect `vllm`, `schema` is `response_format`.

        Raises ModelError when the attempts are used up, ServiceError when the endpoint refuses
        everyone or another model answers than the one that may.
        """
        body = make_body(self.role, messages, seed, stop, prefill, schema)
        key = make_key(self.role, body)
        stored = self._purchaser.recall(key)
        if stored is not None:
            self._count("cached_", stored)
            completion = Completion(**stored, cached=True)
            self._check_answerer(completion.model, "the request cache")
            return completion
        answer = await self._purchaser.buy(key, lambda: self._ask(body))
        return Completion(**answer, cached=False)

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

    async def _ask(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """One attempt."""
        try:
            answer = read_reply(await self._client.chat.completions.create(**body))
        except openai.APIStatusError as error:
            raise self._classify(error) from None
        except openai.APITimeoutError:
            waited = f"{self.role.timeout:g} s, {self.role.attempts} attempts"
            remedy = f"check the server or raise models.{self.role.name}.timeout"
            fault = f"{self.url}: no answer within {waited}; {remedy}"
            raise ModelError(fault, "timeout", passing=True) from None
        except openai.APIConnectionError as error:
            fault = f"{self.url}: {error.__cause__ or error}; check that the server is up"
            raise ModelError(fault, "connection", passing=True) from None
        except openai.APIError as error:
            raise ModelError(f"{self.url}: {error}", "contract") from None
        except (ValueError, TypeError) as error:
            fault = f"{self.url}: the answer is not an OpenAI chat completion ({error})"
            raise ModelError(fault, "contract") from None
        if answer is None:
            raise ModelError(f"{self.url}: the answer holds no choices", "contract")
        self._check_answerer(answer["model"], self.url)
        self._count("", answer)
        return answer

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

    def _classify(self, error: openai.APIStatusError) -> SearchTrainError:
        status, text = error.status_code, " ".join(error.response.text.split())[:300]
        if status in REFUSED:
            return ServiceError(
                f"{self.url}: HTTP {status} for {self.role.model}: {text}; {REFUSED[status]}"
            )
        if status == 400 and "context length" in text.lower():
            fault = f"{self.url}: the conversation is longer than the model's context: {text}"
            return ModelError(fault, "context_length")
        passing = status in RETRIED or status >= 500
        tries = f" after {self.role.attempts} attempts" if passing else ""
        return ModelError(
            f"{self.url}: HTTP {status}{tries}: {text}; see the server's log",
            f"http_{status}",
            passing=passing,
            retry_after=read_retry_after(error.response.headers.get("retry-after", "")),
        )


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
    return ModelClient(role, url, cache)
