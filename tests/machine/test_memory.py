"""What is free is given back to the system."""

from __future__ import annotations

import subprocess
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


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_large_blocks_are_given_back_one_by_one() -> None:
    """What a photo took is free when it is answered, though smaller things lie behind it."""
    script = """
import ctypes, sys
from imgclf.machine.memory import return_large_blocks

if sys.argv[1] == "returned":
    return_large_blocks()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def resident_mib():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * 4096 / 2**20

def filled(size):
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    return block

libc.free(filled(16 * 2**20))
before = resident_mib()
blocks, small = [], []
for _ in range(8):
    blocks.append(filled(8 * 2**20))
    small.append(filled(100_000))
for block in blocks:
    libc.free(block)
print(resident_mib() - before)
"""

    def kept_mib(what: str) -> float:
        done = subprocess.run(
            [sys.executable, "-c", script, what], capture_output=True, text=True, check=True
        )
        return float(done.stdout)

    if kept_mib("kept") < 32:
        pytest.skip("this C library gives it back by itself")
    assert kept_mib("returned") < 8
