"""Memory that is free, but not given back."""

from __future__ import annotations

import ctypes
import gc
import sys

__all__ = ["release_memory", "return_large_blocks"]

M_MMAP_THRESHOLD = -3
"""glibc's number (malloc.h)."""
LARGE_BLOCK_BYTES = 1024**2


def release_memory() -> None:
    """Give the system what was freed: glibc keeps what LiteRT's converter took, some 300 MB."""
    gc.collect()
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    if trim is not None:
        trim(0)


def return_large_blocks() -> None:
    """Give the system each large block as soon as it is freed, in a process that lives long.

    glibc keeps blocks of the size that it has seen freed: of a few photos of 12 megapixels that
    were decoded at a time, 20 to 80 MB.
    """
    if not sys.platform.startswith("linux"):
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if set_option is not None:
        set_option(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
