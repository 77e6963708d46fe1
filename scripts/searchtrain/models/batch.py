"""The rows of a stage that asks models, and one JSON answer to each of many requests.

Invariant: every row has a result or the error that it failed with, in the order of the rows, and
more failures than the stage allows end it.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from searchtrain import config
from searchtrain.core.errors import BoundaryError
from searchtrain.models.asker import Asker
from searchtrain.models.failures import attribute_failures
from searchtrain.models.model import Model
from searchtrain.models.pool import FailureLimit, run_pool
from searchtrain.models.progress import StageProgress

Item = TypeVar("Item")
Answer = TypeVar("Answer")


async def work_through(
    items: Sequence[Item],
    work: Callable[[Item], Awaitable[tuple[Answer, BoundaryError | None]]],
    failures: FailureLimit,
    models: Sequence[Model],
    *stops: Callable[[], None],
) -> list[Answer]:
    """Do the work on every item, as many at a time as the models take together, with progress.

    `work` returns a result and the error that counts against `failures`. `stops` are called beside
    the models' own when the stage must end early; the models are closed afterwards. Raises
    SearchTrainError when more fail than allowed.
    """
    progress = StageProgress(len(items), models)

    async def take(item: Item) -> Answer:
        result, error = await work(item)
        progress.advance(failed=error is not None)
        failures.count(error)
        return result

    def stop() -> None:
        for halt in (*(model.stop for model in models), *stops):
            halt()

    workers = sum(model.role.concurrency for model in models)
    try:
        return await run_pool(items, take, workers=workers, stop=stop)
    finally:
        progress.finish()
        for model in models:
            await model.close()


async def ask_each(
    requests: Sequence[str],
    asker: Asker,
    read: Callable[[dict[str, Any]], Answer],
    settings: config.Tag | config.Judge | config.Shortcuts | config.AnswerForms,
    section: str,
) -> list[Answer | BoundaryError]:
    """Ask each request; the asker's model is closed afterwards.

    `read`: as for `Asker.ask`. `settings`: the config section of the name `section`, of which
    `seed` and `max_failed_share` (of the requests) count. Raises SearchTrainError when more
    requests fail than that.
    """
    failures = FailureLimit(len(requests), settings.max_failed_share, f"{section}.max_failed_share")

    async def ask(request: str) -> tuple[Answer | BoundaryError, BoundaryError | None]:
        try:
            with attribute_failures():
                return await asker.ask(request, read, seed=settings.seed), None
        except BoundaryError as error:
            return error, error

    return await work_through(requests, ask, failures, [asker.model])
