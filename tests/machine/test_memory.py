"""What is free is given back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
from pathlib import Path
from imgclf.machine.memory import release_memory

def resident_mb():
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

before = resident_mb()
blocks = [bytearray(20_000) for _ in range(8_000)]
kept = blocks[::500]
full = resident_mb()
del blocks
release_memory()
print(full - before, resident_mb() - before, len(kept))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_freed_blocks_leave_the_process() -> None:
    """Blocks between others that stay, which the allocator would keep, are given back."""
    # A process of its own: in one that has freed much before, new blocks take no memory.
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    full, left, kept = done.stdout.split()
    assert float(full) > 100
    assert float(left) < 60
    assert kept == "16"
