"""Connections to public addresses only, so that no page can make this machine read its own network.

Invariant: a connection goes to an address that was checked, never to a name: what the name server
answers next time (DNS rebinding) does not matter, and redirects go the same way.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpcore2

from searchtrain.core.errors import InputError, PageError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NOT_PUBLIC = ("is_multicast", "is_reserved", "is_unspecified", "is_site_local")
"""What the standard library may call global all the same; IPv4 has no site-local addresses."""
NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address."""


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens TCP connections for a connection pool of httpcore2.

    TLS stays the pool's: certificates are checked against the host's name. There is no proxy: it
    would look names up itself and so undo the check.
    """

    def __init__(self, allow_networks: Sequence[str], hosts: Mapping[str, str]) -> None:
        """`allow_networks`: CIDR blocks allowed though not public. `hosts`: what stands for a
        host, `address:port`, as in /etc/hosts; who names it there means it, public or not.
        """
        self._allowed = [parse_network(network) for network in allow_networks]
        self._hosts = {host.lower(): parse_target(host, to) for host, to in hosts.items()}
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address of `host` that takes the connection.

        Raises PageError of kind `private_address` when any of its addresses is not allowed.
        """
        if target := self._hosts.get(host.lower().rstrip(".")):
            addresses, port = [target[0]], target[1]
        else:
            addresses = await look_up(host, port)
            for address in addresses:
                if not self.allows(address):
                    raise PageError(
                        f"{host} leads to {address}, which is no public address; if that is meant,"
                        " add its network to web.pages.allow_networks",
                        "private_address",
                    )
        for address in addresses:
            try:
                return await self._sockets.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        """Never: no page lives in a file of this machine."""
        raise PageError("a socket file is no public address", "private_address")

    async def sleep(self, seconds: float) -> None:
        """Wait between two attempts."""
        await asyncio.sleep(seconds)

    def allows(self, address: Address) -> bool:
        """Whether pages may be read from an address: each one that it stands for must be fit."""
        return all(
            is_public(part) or any(part in network for network in self._allowed)
            for part in list_embedded(address)
        )


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet (IANA's registries)."""
    return address.is_global and not any(getattr(address, kind, False) for kind in NOT_PUBLIC)


def list_embedded(address: Address) -> list[Address]:
    """The addresses that a packet to `address` may end at: IPv4 ones inside IPv6 ones."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    if address in NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    if address.sixtofour:
        return [address, address.sixtofour]
    return [address]


async def look_up(host: str, port: int) -> list[Address]:
    """Every address of a host, in the resolver's order; raises httpcore2.ConnectError."""
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass  # a name, or an address in a spelling that only the resolver knows
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore2.ConnectError(f"the name {host} cannot be looked up ({error})") from None
    return list(dict.fromkeys(ipaddress.ip_address(row[4][0]) for row in found))


def parse_network(text: str) -> Network:
    """One entry of `allow_networks`; raises InputError."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InputError(
            f"web.pages.allow_networks: {text!r} is no network; write it as 10.1.0.0/16"
        ) from None


def parse_target(host: str, target: str) -> tuple[Address, int]:
    """The `address:port` that stands for a host; raises InputError."""
    try:
        parts = urlsplit(f"//{target}")
        return ipaddress.ip_address(parts.hostname or ""), parts.port or 80
    except ValueError:
        raise InputError(
            f"web.pages.hosts.{host}: {target!r} is not allowed; write it as 127.0.0.1:8080"
        ) from None
