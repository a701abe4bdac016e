"""A remote worker whose every message the test decides."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from imgclf.tuning.chief import Chief
from imgclf.tuning.messages import PROTOCOL
from imgclf.tuning.pool import WorkerPool

__all__ = ["ScriptedWorker", "wait_for_events"]

Event = tuple[int, dict[str, Any]]


class ScriptedWorker:
    """A connection to a chief, which sends and receives one message at a time."""

    def __init__(self, chief: Chief, *, hello: bool = True) -> None:
        self.sock = socket.create_connection(("127.0.0.1", chief.port), timeout=30)
        self.stream = self.sock.makefile("rb")
        if hello:
            self.send({"hello": {"imgclf": version("imgclf"), "protocol": PROTOCOL}})

    def close(self) -> None:
        """Close the connection."""
        self.stream.close()
        self.sock.close()

    def send(self, message: Any) -> None:
        """Send a message."""
        self.sock.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> Any:
        """Wait for the chief's next message; None where the connection is closed."""
        return json.loads(self.stream.readline() or "null")


def wait_for_events(pool: WorkerPool, until: Callable[[list[Event]], Any]) -> list[Event]:
    """Let a pool listen until `until` is true of its events; returns them."""
    events: list[Event] = []
    deadline_s = time.monotonic() + 200  # A busy machine is not a defect.
    while not until(events):
        assert time.monotonic() < deadline_s, events
        events += pool.events(0.05)
    return events
