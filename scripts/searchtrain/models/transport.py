"""How a server is reached over HTTP: what every client of one shares."""

import ssl
from functools import cache
from typing import Any

from searchtrain.core.network import is_loopback


def make_options(url: str) -> dict[str, Any]:
    """Options of an HTTP client for the server at `url`.

    A proxy from the environment must not be asked for this machine's own servers.
    """
    trust = not is_loopback(url)
    return {"trust_env": trust, "verify": _load_certificates(trust)}


@cache
def _load_certificates(trust_env: bool) -> ssl.SSLContext:
    """Those that are trusted; reading them takes 30 ms, so that it is done once."""
    import httpx2  # the workflow itself asks no server

    return httpx2.create_ssl_context(trust_env=trust_env)
