"""One JSON answer of a model to each of many requests.

Invariant: every request has an answer or the error that it failed with, in the order of the
requests, and more failures than the stage allows end it.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from searchtrain import config
from searchtrain.core.errors import BoundaryError
from searchtrain.models.asker import Asker
from searchtrain.models.failures import attribute_failures
from searchtrain.models.pool import FailureLimit, run_pool
from searchtrain.models.progress import StageProgress

Answer = TypeVar("Answer")


async def ask_each(
    requests: Sequence[str],
    asker: Asker,
    read: Callable[[dict[str, Any]], Answer],
    settings: config.Tag | config.Judge | config.Shortcuts,
    section: str,
) -> list[Answer | BoundaryError]:
    """Ask each request; the asker's model is closed afterwards.

    `read`: as for `Asker.ask`. `settings`: the config section of the name `section`, of which
    `seed` and `max_failed_share` (of the requests) count. Raises SearchTrainError when more
    requests fail than that.
    """
    failures = FailureLimit(len(requests), settings.max_failed_share, f"{section}.max_failed_share")
    model = asker.model
    progress = StageProgress(len(requests), [model])

    async def ask(request: str) -> Answer | BoundaryError:
        try:
            with attribute_failures():
                answer: Answer | BoundaryError = await asker.ask(request, read, seed=settings.seed)
            error = None
        except BoundaryError as caught:
            answer = error = caught
        progress.advance(failed=error is not None)
        failures.count(error)
        return answer

    try:
        return await run_pool(requests, ask, workers=model.role.concurrency, stop=model.stop)
    finally:
        progress.finish()
        await model.close()
