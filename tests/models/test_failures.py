"""The boundary around one row, and errors on their way to it."""

import asyncio
import pickle

import pytest

from searchtrain.core.errors import (
    InputError,
    InternalError,
    Interrupted,
    ModelError,
    PageError,
    ProtocolError,
    ReplyError,
    SearchTrainError,
    ServiceError,
    ToldToModel,
)
from searchtrain.models.failures import attribute_failures
from searchtrain.trees.tree import TreeFault


class Surprise(Exception):
    """Nobody has foreseen this one."""


def fail(error):
    with attribute_failures():
        raise error


def test_what_nobody_foresaw_is_the_rows_failure_and_its_traceback_is_logged_once(caplog):
    for _ in range(3):
        with pytest.raises(InternalError, match="Surprise: of a kind") as caught:
            fail(Surprise("of a kind"))
    assert caught.value.kind == "internal" and isinstance(caught.value.__cause__, Surprise)
    (record,) = caplog.records
    assert record.exc_info[0] is Surprise and "in fail" in caplog.text
    with pytest.raises(InternalError), attribute_failures():
        raise Surprise("elsewhere")
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    "error", [ServiceError("gone"), Interrupted(), InputError("x"), ModelError("slow", "timeout")]
)
def test_what_is_foreseen_passes_as_it_is(error, caplog):
    with pytest.raises(type(error)) as caught:
        fail(error)
    assert caught.value is error and not caplog.records


def test_a_task_that_is_cancelled_is_no_failure():
    with pytest.raises(asyncio.CancelledError):
        fail(asyncio.CancelledError())


def test_what_a_model_is_told_is_one_kind_of_error():
    for error in (ReplyError("x", "schema"), ProtocolError("x", "no_think"), TreeFault("x", "y")):
        assert isinstance(error, ToldToModel)
    for error in (ModelError("x", "timeout"), PageError("x", "url"), InternalError("x", "y")):
        assert not isinstance(error, ToldToModel)
    assert issubclass(ReplyError, ModelError)


@pytest.mark.parametrize(
    "error",
    [
        ModelError("slow", "timeout", passing=True, retry_after=2.0),
        PageError("gone", "http_404"),
        Interrupted("training"),
        SearchTrainError("too many"),
    ],
)
def test_errors_go_from_process_to_process(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error) and str(copy) == str(error) and vars(copy) == vars(error)
