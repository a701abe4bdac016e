"""Network addresses at which a search listens for workers."""

from __future__ import annotations

import ipaddress
import socket

from imgclf.errors import ArgumentError

__all__ = ["parse_address", "require_private"]


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` or ``[IPv6]:PORT``.

    Raises:
        ArgumentError: The text has another form.
    """
    host, _, port = text.strip().rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ArgumentError(f"{text!r} is not an address: give HOST:PORT, such as 127.0.0.1:7777.")
    return host.strip("[]"), int(port)


def require_private(host: str, *, allow_network: bool) -> None:
    """Refuse an address that other machines can reach, unless `allow_network` is set.

    Raises:
        ArgumentError: Other machines can reach the host, or it is unknown.
    """
    try:
        found = {item[4][0] for item in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise ArgumentError(f"The host {host!r} is unknown ({error.strerror}).") from error
    loopback = all(ipaddress.ip_address(str(item).partition("%")[0]).is_loopback for item in found)
    if not loopback and not allow_network:
        raise ArgumentError(
            f"{host} can be reached from other machines, and the port has no password: on a "
            "private network add --allow-network (allow_network=True), otherwise give 127.0.0.1."
        )
