"""One JSON answer of a model to each of many requests.

Invariant: every request has an answer or the error that it failed with, in the order of the
requests, and more failures than the stage allows end it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from searchtrain import config
from searchtrain.core.errors import ModelError
from searchtrain.models.client import ModelClient
from searchtrain.models.pool import FailureLimit, run_pool
from searchtrain.models.progress import StageProgress

Answer = TypeVar("Answer")


async def ask_each(
    requests: Sequence[str],
    system: str,
    client: ModelClient,
    schema: Mapping[str, Any],
    read: Callable[[Mapping[str, Any]], Answer],
    settings: config.Tag | config.Judge | config.Shortcuts,
    section: str,
) -> list[Answer | ModelError]:
    """Ask `client`, which is closed afterwards, each request after the prompt `system`.

    `schema` and `read`: as for `ModelClient.complete_json`. `settings`: the config section
    of the name `section`, of which `seed` and `max_failed_share` (of the requests) count. Raises
    SearchTrainError when more requests fail than that.
    """
    failures = FailureLimit(len(requests), settings.max_failed_share, f"{section}.max_failed_share")
    progress = StageProgress(len(requests), [client])

    async def ask(request: str) -> Answer | ModelError:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": request}]
        error = None
        try:
            answer = await client.complete_json(messages, schema, read, seed=settings.seed)
        except ModelError as caught:
            answer = error = caught
        progress.advance(failed=error is not None)
        failures.count(error)
        return answer

    try:
        return await run_pool(requests, ask, workers=client.role.concurrency, stop=client.stop)
    finally:
        progress.finish()
        await client.close()
