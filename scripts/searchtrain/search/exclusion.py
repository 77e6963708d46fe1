"""Which hosts and URLs may not be shown nor read, so that no answer leaks into a search.

Invariant: spellings of one address (case, IDNA, `www.`, scheme, port, dot segments, percent
escapes, a trailing slash) are excluded together.
"""

import posixpath
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote

import httpx2

from searchtrain.core.errors import InputError

SCHEME = re.compile(r"^(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
HOST = re.compile(r"[a-z0-9_.:-]+")
"""A host as `httpx2.URL.raw_host` gives it, an IPv6 address without its brackets."""


class Exclusion:
    """A set of excluded hosts (subdomains included) and URL prefixes."""

    def __init__(self, entries: Iterable[str] = ()) -> None:
        """`entries`: `example.com` is a host; `example.com/a`, with a scheme or without, is that
        page and what lies below it. Raises InputError for an entry that is neither.
        """
        self.entries = tuple(sorted(set(entries)))
        self._hosts: set[str] = set()
        self._paths: dict[str, set[tuple[str, str]]] = {}
        for entry in self.entries:
            place = _split("http://" + SCHEME.sub("", entry.strip(), count=1))
            if place is None:
                raise InputError(f"{entry!r} cannot be excluded: it is no host and no URL")
            host, path, query = place
            if path or query:
                self._paths.setdefault(host, set()).add((path, query))
            else:
                self._hosts.add(host)

    def excludes(self, *urls: str) -> bool:
        """Whether one of the URLs is excluded."""
        return any(map(self._excludes, urls))

    def list_operators(self) -> list[str]:
        """A search engine's `-site:` operators for the set, sorted."""
        pages = [(host + path, query) for host, at in self._paths.items() for path, query in at]
        # An operator cannot tell queries apart: such a page is left to the filter.
        unsayable = {site for site, query in pages if query or re.search(r"\s", site)}
        sites = self._hosts | ({site for site, _ in pages} - unsayable)
        return sorted(f"-site:{site}" for site in sites)

    def _excludes(self, url: str) -> bool:
        place = _split(url)
        if place is None:
            return False
        host, path, query = place
        parts = host.split(".")
        if any(".".join(parts[start:]) in self._hosts for start in range(len(parts))):
            return True
        return any(
            path == base and query == asked
            if asked
            else path == base or path.startswith(f"{base}/")
            for base, asked in self._paths.get(host, ())
        )


NOTHING = Exclusion()


@lru_cache(maxsize=4096)
def make_exclusion(entries: tuple[str, ...]) -> Exclusion:
    """The set for `entries`, made once: every rollout of a question excludes the same."""
    return Exclusion(entries)


def _split(url: str) -> tuple[str, str, str] | None:
    """Host without www., path without a trailing slash, query; None if it has no host."""
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        return None
    host = parsed.raw_host.decode().lower().rstrip(".").removeprefix("www.")
    if not HOST.fullmatch(host):
        return None
    path = posixpath.normpath("/" + unquote(parsed.path).lstrip("/"))
    return host, "" if path == "/" else path, parsed.query.decode()
