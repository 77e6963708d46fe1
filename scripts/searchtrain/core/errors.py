"""Typed failures, one per boundary; each message says where, what and how to mend it.

A failure inside one rollout is data (a `stop_reason` on its row); a failure of a stage
is one of these, printed in one line by `cli.run` with a non-zero exit.
"""


class SearchTrainError(Exception):
    """Base of every failure that a user can act on; `str(error)` is the whole message."""


class InputError(SearchTrainError):
    """A file, a row or a setting is not what the stage needs."""


class PromptError(InputError):
    """A prompt file is missing, does not parse or uses an undefined variable."""


class ServiceError(SearchTrainError):
    """A server that this stage needs did not start, or went away."""


class Interrupted(SearchTrainError):
    """The stage was told to stop; what it has done so far is kept."""

    def __init__(self, what: str = "all") -> None:
        super().__init__(f"stopped before {what} was done; run the same command to go on")


class BoundaryError(SearchTrainError):
    """One request across a boundary failed for good.

    `kind` is a short stable word for counting (for instance `timeout`), the message is for people.
    """

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class ModelError(BoundaryError):
    """A model endpoint refused, failed, hung, or answered something unusable.

    Kinds: `timeout`, `connection`, `http_<status>`, `context_length`, `contract` (no chat
    completion), `not_json`, `schema`.
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

    def __init__(self, message: str, kind: str, *, passing: bool = False) -> None:
        """`passing`: the same page may well be readable later."""
        super().__init__(message, kind)
        self.passing = passing


class ProtocolError(BoundaryError):
    """A turn or a trajectory does not follow the grammar of `protocol`.

    Kinds: see `grammar.parse_turn` and `grammar.validate_trajectory`.
    """
