"""The user's cache folder, where decoded pixels are kept between runs."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CacheEntry", "cache_folder", "clear_cache", "list_cache", "make_room", "mark_used"]

MAX_CACHE_BYTES = 20 * 1024**3
"""Upper bound of the cache; the entries that were not used for longest go first."""

ABANDONED_S = 24 * 3600
"""Age at which a half-written entry is taken for the leftover of a killed process."""

PARTIAL = ".partial-"


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One kept set of pixels.

    Attributes:
        path: Its folder.
        size_bytes: Disk space that it takes.
        last_used: Seconds since the epoch.
    """

    path: Path
    size_bytes: int
    last_used: float


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
    """List what is kept, the longest unused first."""
    entries = [_entry(path) for path in _folders() if PARTIAL not in path.name]
    return sorted((entry for entry in entries if entry), key=lambda entry: entry.last_used)


def clear_cache() -> int:
    """Remove everything that is kept; a training that uses it goes on undisturbed on Unix.

    Returns:
        Bytes that were freed.
    """
    entries = list_cache()
    for entry in entries:
        shutil.rmtree(entry.path, ignore_errors=True)
    _remove_abandoned()
    return sum(entry.size_bytes for entry in entries if not entry.path.exists())


def make_room(size_bytes: int) -> None:
    """Remove the longest unused entries until `size_bytes` more fit, and abandoned leftovers."""
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
    """Note that an entry was used just now."""
    os.utime(path)


def _folders() -> list[Path]:
    try:
        return [path for path in cache_folder().iterdir() if path.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _entry(path: Path) -> CacheEntry | None:
    """Measure an entry; None where another process removes it in this moment."""
    try:
        size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
        return CacheEntry(path, size, path.stat().st_mtime)
    except FileNotFoundError:
        return None


def _remove_abandoned() -> None:
    """Remove half-written entries whose process must have been killed."""
    for path in _folders():
        try:
            abandoned = time.time() - path.stat().st_mtime > ABANDONED_S
        except FileNotFoundError:
            continue
        if PARTIAL in path.name and abandoned:
            shutil.rmtree(path, ignore_errors=True)
