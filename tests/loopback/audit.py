"""Refuse and write down every connection and name look-up that would leave this machine."""

import ipaddress
import os
import socket
import sys
from pathlib import Path

VARIABLE = "LOOPBACK_AUDIT"
"""Names the file that gets one line for each attempt."""
HERE = {None, "", "localhost", socket.gethostname()}


def install():
    """Watch this process from now on."""
    sys.addaudithook(watch)


def watch(event, args):
    """An audit hook: raises OSError for what would leave the machine."""
    if event == "socket.connect":
        connection, address = args
        # A datagram socket that is "connected" sends nothing: vLLM finds its own address so.
        stream = connection.type == socket.SOCK_STREAM and isinstance(address, tuple)
        host = address[0] if stream else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = None if is_address(args[0]) else args[0]  # nobody is asked about an address
    else:
        return
    if is_here(host):
        return
    with Path(os.environ[VARIABLE]).open("a", encoding="utf-8") as file:
        file.write(f"{event} {host} by {sys.argv[:2]}\n")
    raise OSError(f"{event} to {host} would leave this machine")


def is_here(host):
    """Whether a host is this machine, without looking it up."""
    if isinstance(host, bytes):
        host = host.decode()
    if host in HERE:
        return True
    return is_address(host) and ipaddress.ip_address(host.partition("%")[0]).is_loopback


def is_address(host):
    """Whether a host is an address and no name."""
    try:
        ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return True
