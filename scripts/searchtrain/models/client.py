"""The async model client: one `ModelClient` per role, over the OpenAI API.

A role is a model plus sampling plus an endpoint. Every answer goes through the request cache;
its key names what was asked (model, revision, messages, sampling, seed, schema), never the URL.
Invariant: an answer is in the cache before the caller sees it, and a failure never is.
"""

import asyncio
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

import jsonschema
import openai
import tenacity
from jsonschema.exceptions import best_match

from searchtrain.core.errors import InputError, Interrupted, ModelError, ServiceError
from searchtrain.core.files import canonical_json, digest
from searchtrain.core.network import is_loopback
from searchtrain.core.single_flight import SingleFlight
from searchtrain.models.identity import check_name, is_same_model
from searchtrain.models.request_cache import RequestCache
from searchtrain.serving.endpoint import wait_ready

logger = logging.getLogger(__name__)

Message = Mapping[str, str]
Parsed = TypeVar("Parsed")

JSON_OBJECT = re.compile(r"\{.*\}", re.DOTALL)
THOUGHT = re.compile(r"^.*</think>", re.DOTALL)
REFUSED = {401, 403, 404}
"""Statuses that no other request would escape: they end the stage at once."""
RETRIED = {408, 409, 429}


@dataclass(frozen=True, slots=True)
class Role:
    """A model as one stage uses it; built from the config by `Role.from_config`."""

    name: str
    model: str
    revision: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Sent as it is: temperature, top_p, max_tokens, …"""
    dialect: str = "openai"
    """`vllm` adds vLLM's own fields (prefill, the stop string kept); other servers refuse them."""
    concurrency: int = 32
    """Requests in flight."""
    timeout: float = 120
    """Seconds for one attempt."""
    attempts: int = 4
    api_key_env: str = ""
    """Environment variable that holds the key; keys stand nowhere else."""
    price: Mapping[str, float] = field(default_factory=dict)
    """US dollars per million `prompt` and `completion` tokens."""
    only: str = ""
    """The one model that may answer (`identity.is_same_model`); empty: whichever does."""

    @classmethod
    def from_config(cls, name: str, config: Mapping[str, Any], **changes: Any) -> "Role":
        """Make a role of its config section; settings of the server it needs are left out."""
        known = {key: value for key, value in config.items() if key in cls.__dataclass_fields__}
        return cls(**{**known, "name": name, **changes})

    def read_key(self) -> str:
        """The API key; a server of the workflow's own needs none."""
        if not self.api_key_env:
            return "none"
        key = os.environ.get(self.api_key_env)
        if not key:
            raise InputError(
                f"models.{self.name}: environment variable {self.api_key_env} is not set;"
                " export it with the endpoint's API key"
            )
        return key


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of a model."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached: bool


class ModelClient:
    """Asks one role; safe for thousands of concurrent callers on one event loop.

    `usage` counts `requests`, `cached`, `retries`, `repairs`, `prompt_tokens`,
    `completion_tokens` (tokens of answers that were bought now) and, of answers from the cache,
    `cached_prompt_tokens` and `cached_completion_tokens`.
    """

    def __init__(self, role: Role, url: str, cache: RequestCache | None) -> None:
        self.role = role
        self.url = url.rstrip("/")
        self.usage: Counter[str] = Counter()
        self._cache = cache
        self._slots = asyncio.Semaphore(role.concurrency)
        self._stopping = False
        self._flights: SingleFlight[dict[str, Any]] = SingleFlight()
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
    ) -> Completion:
        """Ask once for the next assistant message.

        `prefill`: text that the assistant message begins with (not part of the answer; needs
        dialect `vllm`). `schema`: JSON Schema sent as `response_format`; honoured or not, the
        answer is whatever came back. Raises ModelError when the attempts are used up,
        ServiceError when the endpoint refuses everyone.
        """
        body = self._make_body(messages, seed, stop, prefill, schema)
        key = digest({"revision": self.role.revision, **body})
        stored = self._cache.get(key) if self._cache else None
        if stored is not None:
            self.usage["cached"] += 1
            self.usage["cached_prompt_tokens"] += stored["prompt_tokens"]
            self.usage["cached_completion_tokens"] += stored["completion_tokens"]
            return Completion(**stored, cached=True)
        answer = await self._flights.join(key, lambda: self._buy(key, body))
        return Completion(**answer, cached=False)

    async def complete_json(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any],
        parse: Callable[[dict[str, Any]], Parsed],
        *,
        seed: int,
    ) -> Parsed:
        """Ask for one JSON object that fits `schema`; an answer that does not is repaired once.

        `parse` turns the object into what the caller wants and raises ModelError for what the
        schema can not say. Raises ModelError with kind `not_json` or `schema` when the repair
        fails too.
        """
        completion = await self.complete(messages, seed=seed, schema=schema)
        try:
            return parse(parse_object(completion.text, schema))
        except ModelError as error:
            self.usage["repairs"] += 1
            repair = [
                *messages,
                {"role": "assistant", "content": completion.text},
                {"role": "user", "content": f"{error} Answer with the JSON object only."},
            ]
        completion = await self.complete(repair, seed=seed, schema=schema)
        return parse(parse_object(completion.text, schema))

    def stop(self) -> None:
        """Begin no further request; those in flight still finish and are cached."""
        self._stopping = True

    def cost(self, cached: bool = False) -> float:
        """US dollars spent by this client, at the role's price.

        With `cached`: what it would have spent had the cache been empty.
        """
        return sum(
            self.usage[f"{origin}{kind}_tokens"] * self.role.price.get(kind, 0) / 1e6
            for kind in ("prompt", "completion")
            for origin in ("", "cached_")[: 1 + cached]
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _make_body(
        self,
        messages: Sequence[Message],
        seed: int,
        stop: Sequence[str],
        prefill: str,
        schema: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        sent = [dict(message) for message in messages]
        body: dict[str, Any] = {"model": self.role.model, "seed": seed, **self.role.sampling}
        if stop:
            body["stop"] = list(stop)
        if schema:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": True},
            }
        extra: dict[str, Any] = {}
        if self.role.dialect == "vllm" and stop:
            extra["include_stop_str_in_output"] = True
        if prefill:
            if self.role.dialect != "vllm":
                raise InputError(
                    f"models.{self.role.name}: ending a rollout with a forced answer needs a server"
                    " that can continue a message; set dialect: vllm or turn the forced answer off"
                )
            sent.append({"role": "assistant", "content": prefill})
            extra |= {"continue_final_message": True, "add_generation_prompt": False}
        body["messages"] = sent
        if extra:
            body["extra_body"] = extra
        return body

    async def _buy(self, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask, commit the answer to the cache, and count it."""
        async with self._slots:
            if self._stopping:
                raise Interrupted()
            answer = await self._ask(body)
            # Nothing may be awaited between the answer and this commit.
            if self._cache:
                self._cache.put(key, answer)
        self.usage["requests"] += 1
        self.usage["prompt_tokens"] += answer["prompt_tokens"]
        self.usage["completion_tokens"] += answer["completion_tokens"]
        return answer

    async def _ask(self, body: dict[str, Any]) -> dict[str, Any]:
        """One request with retries: connection errors, timeouts, 408, 409, 429 and 5xx."""
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self.role.attempts),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=20),
            retry=tenacity.retry_if_exception(_can_retry),
            before_sleep=self._count_retry,
            reraise=True,
        )
        try:
            response = await retrying(self._post, body)
        except openai.APIStatusError as error:
            raise self._classify(error) from None
        except openai.APITimeoutError:
            raise ModelError(
                f"{self.url}: no answer within {self.role.timeout:g} s,"
                f" {self.role.attempts} attempts; check the server or raise"
                f" models.{self.role.name}.timeout",
                "timeout",
            ) from None
        except openai.APIConnectionError as error:
            raise ModelError(
                f"{self.url}: {error.__cause__ or error}; check that the server is up", "connection"
            ) from None
        except openai.APIError as error:
            raise ModelError(f"{self.url}: {error}", "contract") from None
        except (ValueError, TypeError) as error:
            raise ModelError(
                f"{self.url}: the answer is not an OpenAI chat completion ({error})", "contract"
            ) from None
        choices = getattr(response, "choices", None)
        if not choices or choices[0].message is None:
            raise ModelError(f"{self.url}: the answer holds no choices", "contract")
        if self.role.only and response.model and not is_same_model(response.model, self.role.only):
            raise ServiceError(
                f"{self.url}: {response.model!r} answered, and only {self.role.only!r}"
                " (task.teacher) may write training data; serve that model"
            )
        text = choices[0].message.content or ""
        usage = response.usage
        return {
            "text": text,
            "finish_reason": choices[0].finish_reason or "",
            "prompt_tokens": usage.prompt_tokens if usage else 0,
            "completion_tokens": usage.completion_tokens if usage else 0,
        }

    async def _post(self, body: dict[str, Any]) -> Any:
        return await self._client.chat.completions.create(**body)

    def _count_retry(self, _state: tenacity.RetryCallState) -> None:
        self.usage["retries"] += 1
        if self._stopping:
            raise Interrupted()

    def _classify(self, error: openai.APIStatusError) -> Exception:
        status, text = error.status_code, " ".join(error.response.text.split())[:300]
        if status in REFUSED:
            remedy = {404: "check the URL and the model's name"}.get(status, "check the API key")
            return ServiceError(
                f"{self.url}: HTTP {status} for {self.role.model}: {text}; {remedy}"
            )
        if status == 400 and "context length" in text.lower():
            return ModelError(
                f"{self.url}: the conversation is longer than the model's context: {text}",
                "context_length",
            )
        return ModelError(
            f"{self.url}: HTTP {status} after {self.role.attempts} attempts: {text};"
            " see the server's log",
            f"http_{status}",
        )


def open_model(
    name: str,
    address: str,
    config: Mapping[str, Any],
    runtime: Mapping[str, Any],
    cache: RequestCache | None,
    **changes: Any,
) -> ModelClient:
    """A client of the role `name` as soon as its server is ready.

    `address`: URL or endpoint file; `config` has the model, its revision, dialect and sampling,
    `runtime` what changes no answer. Raises ServiceError when the server fails to start, or says
    that it is not the model that `runtime.only` names.
    """
    role = Role.from_config(name, {**config, **runtime}, **changes)
    url = wait_ready(address, runtime["ready_timeout"])
    if role.only:
        check_name(url, role.read_key(), role.model, role.only)
    return ModelClient(role, url, cache)


def parse_object(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Find the JSON object in a model's answer and check it against `schema`.

    Reasoning up to `</think>`, code fences and prose around the object are ignored. Raises
    ModelError with kind `not_json` or `schema`, whose message tells a model what to mend.
    """
    match = JSON_OBJECT.search(THOUGHT.sub("", text))
    try:
        value = json.loads(match[0]) if match else None
        # Half a surrogate pair (\ud83d) is JSON and no text: no table could hold it.
        json.dumps(value, ensure_ascii=False).encode()
    except (json.JSONDecodeError, UnicodeEncodeError):
        value = None
    except RecursionError:
        raise ModelError("The answer is nested too deeply.", "schema") from None
    if value is None:
        raise ModelError(f"The answer is no JSON object: {text[:80]!r}.", "not_json")
    try:
        error = best_match(_make_validator(canonical_json(schema)).iter_errors(value))
    except RecursionError:
        raise ModelError("The answer is nested too deeply.", "schema") from None
    if error is not None:
        place = "/".join(map(str, error.absolute_path)) or "the object"
        raise ModelError(
            f"The answer's {place} is wrong: {error.message[:120]}.", "schema"
        ) from None
    return value


@lru_cache(maxsize=32)
def _make_validator(schema: str) -> jsonschema.Draft202012Validator:
    """A validator takes ten times as long to make as to use."""
    return jsonschema.Draft202012Validator(json.loads(schema))


def _can_retry(error: BaseException) -> bool:
    if isinstance(error, openai.APIStatusError):
        return error.status_code in RETRIED or error.status_code >= 500
    return isinstance(error, openai.APIConnectionError)
