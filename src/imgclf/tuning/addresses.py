"""Where a search listens for workers."""

from __future__ import annotations

import ipaddress
import socket

from imgclf.errors import ArgumentError

__all__ = ["parse_address", "require_private"]


def parse_address(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``, ``[IPv6]:PORT``.

    Raises:
        ArgumentError: It is something else.
    """
    host, _, port = text.strip().rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ArgumentError(f"{text!r} is no address: give HOST:PORT, such as 127.0.0.1:7777.")
    return host.strip("[]"), int(port)


def require_private(host: str, *, allow_network: bool) -> None:
    """Refuse to listen to other machines unless that was asked for.

    Raises:
        ArgumentError: The address is not one of this machine alone, or is unknown.
    """
    try:
        found = {item[4][0] for item in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise ArgumentError(f"The host {host!r} is unknown ({error.strerror}).") from error
    loopback = all(ipaddress.ip_address(str(item).partition("%")[0]).is_loopback for item in found)
    if not loopback and not allow_network:
        raise ArgumentError(
            f"{host} can be reached from other machines, and whoever reaches the port can take "
            "part in the search, there is no password: on a private network add --allow-network "
            "(allow_network=True), otherwise give 127.0.0.1."
        )
