"""Memory that is free, but not given back."""

from __future__ import annotations

import ctypes
import gc
import sys

__all__ = ["release_memory", "trim_heap"]


def release_memory() -> None:
    """Give the system what was freed: glibc keeps what LiteRT's converter took, some 300 MB."""
    gc.collect()
    trim_heap()


def trim_heap() -> None:
    """Give the system what was freed, without looking for cycles: less than a millisecond.

    glibc keeps arrays of up to 32 MB once it has freed one of that size.
    """
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    if trim is not None:
        trim(0)
