"""What is free is given back to the system."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from imgclf.machine.memory import release_memory


def resident_mb() -> float:
    """Read this process's resident memory."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_freed_blocks_leave_the_process() -> None:
    """Blocks between others that stay, which the allocator would keep, are given back."""
    before = resident_mb()
    blocks = [bytearray(20_000) for _ in range(8_000)]
    kept = blocks[::500]
    assert resident_mb() - before > 100
    del blocks
    release_memory()
    assert resident_mb() - before < 60
    assert len(kept) == 16
