"""Addresses of Ray clusters, as Ray writes them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from imgclf.errors import ArgumentError

__all__ = ["ClusterAddress", "parse_address"]

ACCEPTED = "give HOST:PORT, such as 10.0.0.5:6379, or auto (the cluster that this machine belongs "
ACCEPTED += "to), or local (a new one of this machine alone)"

_HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:.%\w]+\]|[\w.-]+):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """Where a cluster is found.

    Attributes:
        text: ``"local"``, ``"auto"`` or ``"HOST:PORT"``, as `ray.init` takes it.
        host: The host; empty for ``"local"`` and ``"auto"``.
        port: The port of its control service; 0 for ``"local"`` and ``"auto"``.
    """

    text: str
    host: str = ""
    port: int = 0

    @property
    def is_local(self) -> bool:
        """Whether the cluster is started for the caller, and ends with it."""
        return self.text == "local"

    @property
    def is_loopback(self) -> bool:
        """Whether the address says by itself that no other machine can reach the cluster."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name, or none
            return False


def parse_address(text: str) -> ClusterAddress:
    """Read the address of a cluster.

    Args:
        text: ``"HOST:PORT"``, ``"auto"`` or ``"local"``.

    Returns:
        The address.

    Raises:
        ArgumentError: The text has another form.

    Example:
        >>> parse_address("10.0.0.5:6379").port
        6379
    """
    wanted = text.strip() if isinstance(text, str) else text
    if wanted in ("auto", "local"):
        return ClusterAddress(wanted)
    if isinstance(wanted, str) and wanted.startswith("ray://"):
        raise ArgumentError(
            f"cluster={text!r} is the address of a Ray client server, which imgclf does not use: "
            "start Ray on this machine with ray start --address=HOST:PORT, and give that HOST:PORT."
        )
    found = _HOST_AND_PORT.fullmatch(wanted) if isinstance(wanted, str) else None
    if found is None or not 0 < int(found[2]) < 65536:
        raise ArgumentError(f"cluster={text!r} is not accepted: {ACCEPTED}.")
    return ClusterAddress(wanted, found[1].strip("[]"), int(found[2]))
