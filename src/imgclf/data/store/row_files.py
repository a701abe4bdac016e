"""Files with one row per image, on disk or in memory, that worker processes fill."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MemoryFile", "memory_file", "new_file"]


@contextmanager
def new_file(path: Path, size_bytes: int, *, kept: bool = False) -> Iterator[Path]:
    """Make a file of zeros for others to fill, and sync it to disk when they have.

    Args:
        path: The file.
        size_bytes: Its size.
        kept: Whether the content of one that exists is kept; otherwise it is emptied.

    Yields:
        The path.

    Raises:
        OSError: There is no room for it.
    """
    with path.open("r+b" if kept and path.exists() else "w+b") as file:
        file.truncate(size_bytes)
        if hasattr(os, "posix_fallocate") and size_bytes:
            os.posix_fallocate(file.fileno(), 0, size_bytes)  # A full disk shows here.
        yield path
        os.fsync(file.fileno())  # Or a crash of the machine leaves black images behind.


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """A file in memory.

    Attributes:
        path: Where child processes find it while it is open here.
    """

    path: Path

    def read(self) -> NDArray[np.uint8]:
        """Return its bytes, ``(size_bytes,)``; they outlive the file."""
        if not hasattr(os, "memfd_create"):
            return np.fromfile(self.path, np.uint8)
        with self.path.open("rb") as file:  # Mapped: it is in memory already, once.
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


@contextmanager
def memory_file(size_bytes: int) -> Iterator[MemoryFile]:
    """Make an anonymous file of zeros in memory.

    Where the system has none, it is a temporary file.

    Args:
        size_bytes: Its size, at least 1.

    Yields:
        The file, for others to write into.

    Raises:
        OSError: There is no room for it.
    """
    with ExitStack() as closing:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("imgclf-rows")
            closing.callback(os.close, descriptor)
            path = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
        else:
            folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="imgclf-"))
            path = Path(folder) / "rows.u8"
        yield MemoryFile(closing.enter_context(new_file(path, size_bytes)))
