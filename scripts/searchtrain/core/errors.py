"""Typed failures, one per boundary; each message says where, what and how to fix it.

A failure inside one row is data (a `stop_reason`, an `error` on that row); a failure of a stage
is one of these, printed in one line by `cli.run` with a non-zero exit.

Messages are for users, and rewording one changes no result. The one exception is `ToldToModel`:
what such an error says goes back to a model, so its text decides results like any prompt.
"""

from typing import Any, TypeVar

Failure = TypeVar("Failure", bound="SearchTrainError")


class SearchTrainError(Exception):
    """Base of every failure that a user can act on; `str(error)` is the whole message."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Goes from process to process as it is, whatever its constructor asks for."""
        return _restore, (type(self), str(self), self.__dict__)


def _restore(kind: type[Failure], message: str, state: dict[str, Any]) -> Failure:
    error = kind.__new__(kind, message)
    error.__dict__.update(state)
    return error


class InputError(SearchTrainError):
    """A file, a row or a setting is not what the stage needs."""


class PromptError(InputError):
    """A prompt file is missing, does not parse or uses an undefined variable."""


class ServiceError(SearchTrainError):
    """A server that this stage needs did not start, went away, or refuses every request."""


class Interrupted(SearchTrainError):
    """The stage was told to stop; what it has done so far is kept."""

    def __init__(self, what: str = "all") -> None:
        super().__init__(f"stopped before {what} was done; run the same command to go on")


class BoundaryError(SearchTrainError):
    """What costs one row and ends no stage: for instance, one request failed for good.

    `kind` is a short stable word for counting (for instance `timeout`), the message is for people.
    """

    def __init__(
        self, message: str, kind: str, *, passing: bool = False, retry_after: float = 0.0
    ) -> None:
        """`passing`: the same request may well succeed later, after `retry_after` seconds if the
        other side says so."""
        super().__init__(message)
        self.kind = kind
        self.passing = passing
        self.retry_after = retry_after


class ToldToModel(BoundaryError):
    """A model's fault, told to a model: its message, or its kind, is part of a later request."""


class ModelError(BoundaryError):
    """A model endpoint refused, failed, hung, or answered something unusable.

    Kinds: `timeout`, `connection`, `http_<status>`, `context_length`, `contract` (no chat
    completion), `empty` (one without content), `refused` (by the model or a filter), and those of
    ReplyError.
    """


class ReplyError(ToldToModel, ModelError):
    """An answer is not the JSON object that was asked for; the message tells a model what to fix.

    Kinds: `not_json`, `schema`, `too_large`, `cut`.
    """


class SearchError(BoundaryError):
    """A search endpoint refused, failed, hung, or broke its contract.

    Kinds: `timeout`, `connection`, `http_<status>`, `contract`, `offline` (not in the cache, and
    nothing else may be asked).
    """


class PageError(BoundaryError):
    """A web page could not be read, or may not be.

    Kinds: `url` (no http or https URL, or one with a password), `blocked` (an excluded host or
    URL), `robots`, `private_address`, `timeout`, `connection`, `redirects`, `http_<status>`,
    `too_large`, `content_type`, `unreadable` (extraction failed), `empty` (no text), `offline`.
    """


class ProtocolError(ToldToModel):
    """A turn or a trajectory does not follow the grammar of `agent.grammar`.

    Kinds: see `grammar.parse_turn` and `grammar.validate_trajectory`.
    """


class InternalError(BoundaryError):
    """Something that nobody foresaw, inside one row: a bug, which costs that row only.

    Kind: `internal`; the message names the exception, whose traceback stands in the log.
    """
