"""The address that a server answers at."""

from __future__ import annotations

import socket

from imgclf.errors import ServingError, remedy_of

__all__ = ["bind"]


def bind(host: str, port: int) -> socket.socket:
    """Take an address, so that it is known to be free before anything is loaded.

    Args:
        host: The name or number of an interface.
        port: The port; 0 takes a free one.

    Returns:
        The socket, which does not listen yet.

    Raises:
        ServingError: It cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = remedy_of(error, otherwise="give another --host or --port")
        raise ServingError(f"{host}:{port} cannot be used ({reason}): {remedy}.") from error
    listener.set_inheritable(True)
    return listener
