"""A network of its own with nothing but loopback: what Ray starts in it nobody else can reach.

Ray replaces 127.0.0.1 by the machine's outward address and listens there. In a network namespace
that has no other interface there is no such address.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ENTER = """
import ctypes, os, sys
handle = os.open(sys.argv.pop(1), os.O_RDONLY)
assert ctypes.CDLL(None).setns(handle, 0) == 0
os.close(handle)
"""
"""Lets a process of root enter the namespace that its first argument names."""

LISTENING = "0A"
"""The state of a listening socket in ``/proc/net/tcp``."""

LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
"""127.0.0.1, the same in IPv6's clothes, and ::1, as they stand there."""


class LoopbackNetwork:
    """A network namespace, kept by a process that sleeps in it.

    Attributes:
        is_up: Whether it could be made.
        enter: Beginning of a command line that runs the rest in the namespace.
        namespace: The file that stands for it.
    """

    def __init__(self) -> None:
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        script = "ip link set lo up && echo up && exec sleep 1800"
        self._holder = subprocess.Popen(
            [shutil.which("unshare") or "", "--net", *user, "sh", "-c", script],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._holder.stdout is not None
        self.is_up = self._holder.stdout.readline() == "up\n"
        self.namespace = f"/proc/{self._holder.pid}/ns/net"
        entered = ["--user", "--preserve-credentials"] if user else []
        self.enter = ["nsenter", "--target", str(self._holder.pid), "--net", *entered]

    def listeners(self) -> set[str]:
        """Return ``address:port``, as the kernel writes them, of all listening TCP sockets."""
        found = set()
        for table in ("tcp", "tcp6"):
            lines = Path(f"/proc/{self._holder.pid}/net/{table}").read_text().splitlines()[1:]
            found |= {line.split()[1] for line in lines if line.split()[3] == LISTENING}
        return found

    def outward_listeners(self) -> set[str]:
        """Return those that are not on loopback."""
        return {item for item in self.listeners() if item.split(":")[0] not in LOOPBACK}

    def listens_on(self, port: int) -> bool:
        """Return whether somebody listens on a port."""
        return any(int(item.split(":")[1], 16) == port for item in self.listeners())

    def close(self) -> None:
        """Remove the namespace once nothing runs in it."""
        self._holder.kill()
        self._holder.communicate()


def why_no_namespaces() -> str:
    """Say what is missing for a `LoopbackNetwork`; empty where nothing is."""
    missing = [tool for tool in ("unshare", "nsenter", "ip") if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)} (Linux)"
    network = LoopbackNetwork()
    network.close()
    return "" if network.is_up else "needs root or user namespaces, for a network of its own"
