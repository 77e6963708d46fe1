"""Ports of the loopback interface, where all servers listen that are started here."""

import http.client
import socket

from searchtrain.core.errors import ServiceError

HOST = "127.0.0.1"
HEALTH_TIMEOUT_S = 5.0


def find_free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def check_port_free(port: int) -> None:
    """Raise ServiceError when something listens on the port already."""
    with socket.socket() as probe:
        probe.settimeout(1)
        reason = "" if probe.connect_ex((HOST, port)) else "something answers there"
    with socket.socket() as probe:
        # As servers do: a port whose last connections are only closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = error.strerror or "bind failed"
    if reason:
        raise ServiceError(
            f"port {port} is already in use ({reason}): stop that process or set another port"
        )


def answers(port: int, path: str) -> bool:
    """Whether the server answers 200 on its health path."""
    connection = http.client.HTTPConnection(HOST, port, timeout=HEALTH_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
