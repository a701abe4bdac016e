"""Waiting for what the workers of a search tell."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from imgclf.tuning.pool import WorkerPool

Event = tuple[int, dict[str, Any]]


def wait_for_events(pool: WorkerPool, until: Callable[[list[Event]], Any]) -> list[Event]:
    """Let a pool listen until `until` is true of its events; returns them."""
    events: list[Event] = []
    deadline_s = time.monotonic() + 200  # A busy machine is not a defect.
    while not until(events):
        assert time.monotonic() < deadline_s, events
        events += pool.events(0.05)
    return events
