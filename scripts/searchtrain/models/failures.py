"""The boundary around the work on one row: whatever fails inside it costs that row and no other.

Invariant: what leaves it is a BoundaryError, for the row's record, or ends the stage.
"""

import logging
import traceback
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from searchtrain.core.errors import BoundaryError, InternalError, SearchTrainError

Result = TypeVar("Result")
logger = logging.getLogger(__name__)

_logged: set[tuple[str, str, int | None]] = set()
"""Type, file and line of what the log has shown already."""


@contextmanager
def attribute_failures() -> Iterator[None]:
    """Turn an exception that nobody foresaw into an InternalError.

    Its traceback is logged once for each place. Errors of a boundary pass as they are, and so do
    those that end a stage (ServiceError, Interrupted, InputError, a limit of failures).
    """
    try:
        yield
    except SearchTrainError:
        raise
    except Exception as error:
        name = type(error).__name__
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = (name, frame.filename, frame.lineno)
        if place not in _logged:
            _logged.add(place)
            logger.error("a row failed by a fault of the program", exc_info=error)
        raise InternalError(f"{name}: {error} (see the log)", "internal") from error


async def settle(work: Awaitable[Result], failed: Result) -> tuple[Result, BoundaryError | None]:
    """What the work on one row comes to, or `failed` and the error that cost the row."""
    try:
        with attribute_failures():
            return await work, None
    except BoundaryError as error:
        return failed, error
