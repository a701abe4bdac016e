"""How much memory a server takes at the most."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from imgclf.serving.json_bodies import MOST_BYTES
from imgclf.serving.limits import MIB, Limits

__all__ = ["memory_cap", "resident_bytes"]

BYTES_OF_A_PIXEL = 32
COPIES_OF_A_BODY = 2.2
BYTES_OF_A_CONNECTION = 160 * 1024
RELOADED_COPIES = 4
USUAL_BYTES = 160 * MIB


def memory_cap(pid: int, files: Sequence[Path], limits: Limits) -> int:
    """Return what a process takes at the most, in bytes.

    Args:
        pid: The process, which has loaded its classifiers.
        files: Their files.
        limits: What it takes at the most.

    Returns:
        What it takes now, and what its limits let requests and a reload take.
    """
    reload = RELOADED_COPIES * max(file.stat().st_size for file in files)
    return int(
        resident_bytes(pid)
        + reload
        + COPIES_OF_A_BODY * (limits.max_buffered_bytes + limits.max_bytes)
        + BYTES_OF_A_PIXEL * limits.pixels_at_a_time
        + limits.concurrency * MOST_BYTES
        + BYTES_OF_A_CONNECTION * limits.max_connections
    )


def resident_bytes(pid: int) -> int:
    """Return the memory of a process, in bytes; the usual number where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return USUAL_BYTES
    return pages * os.sysconf("SC_PAGE_SIZE")
