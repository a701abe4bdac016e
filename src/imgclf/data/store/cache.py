"""The user's cache folder, where pixels, features and converted networks are kept between runs."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "CacheEntry", "cache_folder", "clear_cache", "list_cache", "make_room", "mark_used",
    "note_source",
]  # fmt: skip

MAX_CACHE_BYTES = 20 * 1024**3
"""Largest size of the cache; the least recently used entries are evicted first."""

JOURNAL = "journal.jsonl"
"""In a half-written entry: what was scanned; see `imgclf.data.store.journal`."""

ABANDONED_S = 24 * 3600
"""Age from which a half-written entry counts as left by a killed process."""

PARTIAL = ".partial-"

SOURCE_NAME = "source.txt"
"""The file in an entry that names the folder of images that it was made from."""

LONGEST_SOURCE = 4096
"""Bytes of a path that are read."""


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One entry of the cache: the pixels or features of a folder, or a converted network.

    Attributes:
        path: Its folder.
        size_bytes: Disk space that it takes.
        last_used: Seconds since the epoch.
        source: The folder of images that it was made from; empty where it is of none, or of an
            earlier version.
    """

    path: Path
    size_bytes: int
    last_used: float
    source: str = ""

    @property
    def kind(self) -> str:
        """What it holds: ``"features"``, ``"network"`` or ``"pixels"``."""
        kind, dash, _ = self.path.name.partition("-")
        return kind if dash else "pixels"


def cache_folder() -> Path:
    """Return the folder of the pixel store: ``IMGCLF_CACHE_DIR`` or the system's cache folder."""
    own = os.environ.get("IMGCLF_CACHE_DIR")
    if own:
        return Path(own) / "pixels"
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "imgclf" / "pixels"


def list_cache() -> list[CacheEntry]:
    """List the entries, the least recently used first."""
    entries = [_entry(path) for path in _folders() if PARTIAL not in path.name]
    return sorted((entry for entry in entries if entry), key=lambda entry: entry.last_used)


def clear_cache() -> int:
    """Remove all entries; on Unix a training that uses one goes on undisturbed.

    Returns:
        Bytes that were freed.
    """
    entries = list_cache()
    for entry in entries:
        shutil.rmtree(entry.path, ignore_errors=True)
    _remove_abandoned()
    for path in _folders():
        if PARTIAL in path.name and _is_interrupted(path):
            shutil.rmtree(path, ignore_errors=True)
    return sum(entry.size_bytes for entry in entries if not entry.path.exists())


def make_room(size_bytes: int) -> None:
    """Evict the least recently used entries until `size_bytes` more fit."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    _remove_abandoned()
    entries = list_cache()
    used = sum(entry.size_bytes for entry in entries)
    for entry in entries:
        if used + size_bytes <= MAX_CACHE_BYTES:
            return
        shutil.rmtree(entry.path, ignore_errors=True)
        used -= entry.size_bytes


def mark_used(path: Path) -> None:
    """Set the time at which an entry was last used to now."""
    os.utime(path)


def note_source(entry: Path, source: str) -> None:
    """Note in a new entry the folder of images that it is made from, for `list_cache`.

    Args:
        entry: The entry's folder.
        source: The folder; bytes of its name that are no text are kept.
    """
    (entry / SOURCE_NAME).write_text(source, encoding="utf-8", errors="surrogateescape")


def _folders() -> list[Path]:
    try:
        return [path for path in cache_folder().iterdir() if path.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _entry(path: Path) -> CacheEntry | None:
    """Measure an entry; None where another process has just removed it."""
    try:
        size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
        return CacheEntry(path, size, path.stat().st_mtime, _source(path))
    except FileNotFoundError:
        return None


def _source(entry: Path) -> str:
    try:
        with (entry / SOURCE_NAME).open("rb") as file:
            return file.read(LONGEST_SOURCE).decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def _is_interrupted(partial: Path) -> bool:
    """Tell whether a scan was interrupted that nobody goes on with at this moment."""
    try:
        import fcntl

        with (partial / JOURNAL).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):  # In use, or without a journal.
        return False
    return True


def _remove_abandoned() -> None:
    """Remove half-written entries of killed processes."""
    for path in _folders():
        try:
            # A scan of many millions takes longer than a day, and writes its journal all the time.
            written = max(one.stat().st_mtime for one in (path, *path.glob(JOURNAL)))
            abandoned = time.time() - written > ABANDONED_S
        except FileNotFoundError:
            continue
        if PARTIAL in path.name and abandoned:
            shutil.rmtree(path, ignore_errors=True)
