"""The journal of a scan: what was scanned is kept where the scan is interrupted.

It lies beside the half-filled rows. A result is written when its row is whole, so that a process
which dies loses a few hundred images at the most. After a crash of the machine rows may be missing
that were never written to the disk: a journal of an earlier boot counts for nothing.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from imgclf.data.store.cache import JOURNAL
from imgclf.data.store.index import index_line, read_line
from imgclf.data.store.scan_results import ScannedFile, ScanResults

__all__ = ["Journal", "open_journal"]

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Journal:
    """An open journal, locked: no other process fills the same rows.

    Attributes:
        known: The results so far.
    """

    def __init__(self, file: IO[str], known: ScanResults) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.known = known

    def keep(self, results: Iterable[tuple[int, ScannedFile]]) -> None:
        """Write down results of rows that are whole; threads may call it at the same time."""
        lines = [f"{index} {index_line(result)}" for index, result in results]
        with self._lock:
            self._file.writelines(lines)
            self._file.flush()


@contextmanager
def open_journal(folder: Path, num_files: int, rows: Mapping[str, int]) -> Iterator[Journal | None]:
    """Open the journal in a folder of half-filled rows, or begin one.

    Args:
        folder: The folder.
        num_files: How many files are scanned.
        rows: Names and sizes of the files that are filled: where one of them is not there, the
            journal counts for nothing.

    Yields:
        The journal; None where another process is filling the rows, or the system has no locks.

    Raises:
        OSError: It cannot be written.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield None
        return
    with (folder / JOURNAL).open("a+", encoding="utf-8", errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
            return
        heading = json.dumps([_boot(), num_files]) + "\n"
        known = ScanResults(num_files)
        file.seek(0)
        is_ours = file.readline() == heading and _have_sizes(folder, rows)
        end = _read(file, known) if is_ours else 0
        file.seek(end)
        file.truncate()
        if not end:
            file.write(heading)
        yield Journal(file, known)


def _read(file: IO[str], known: ScanResults) -> int:
    """Read whole lines; return where they end."""
    end = file.tell()
    while (line := file.readline()).endswith("\n"):
        index, _, text = line.partition(" ")
        try:
            known.put(range(len(known))[int(index)], read_line(text))
        except (ValueError, TypeError, IndexError, RecursionError):
            break
        end = file.tell()
    return end


def _have_sizes(folder: Path, rows: Mapping[str, int]) -> bool:
    try:
        return all((folder / name).stat().st_size == size for name, size in rows.items())
    except OSError:
        return False


def _boot() -> str:
    """Return what names the time since the machine was started; random where nothing does."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return secrets.token_hex(16)
