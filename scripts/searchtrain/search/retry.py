"""Which failures of an HTTP server may pass: what the retriever and the web engine try again."""

import httpx2


def is_passing(error: BaseException) -> bool:
    """Whether a later attempt may succeed: no connection, no answer in time, overload, 5xx."""
    if isinstance(error, httpx2.HTTPStatusError):
        return is_passing_status(error.response.status_code)
    return isinstance(error, httpx2.TransportError)


def is_passing_status(status: int) -> bool:
    """Whether a server that answered with this status may answer otherwise later."""
    return status == 429 or status >= 500
