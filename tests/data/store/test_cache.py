from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from imgclf.data.store import cache

if TYPE_CHECKING:
    from pathlib import Path


def entry(folder: Path, name: str, size: int = 100, age_s: float = 0) -> Path:
    """Make a cache entry of a given size and age."""
    path = folder / name
    path.mkdir(parents=True)
    (path / "pixels.u8").write_bytes(bytes(size))
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_entries_are_listed_by_last_use(cache_dir: Path) -> None:
    """The longest unused entry comes first, with its size."""
    entry(cache_dir, "new", 10)
    entry(cache_dir, "old", 20, age_s=500)
    assert [(item.path.name, item.size_bytes) for item in cache.list_cache()] == [
        ("old", 20), ("new", 10),
    ]  # fmt: skip


def test_an_absent_cache_is_empty() -> None:
    """Listing and clearing work before anything was ever kept."""
    assert cache.list_cache() == []
    assert cache.clear_cache() == 0


def test_strange_files_in_the_cache_are_ignored(cache_dir: Path) -> None:
    """What somebody else put there neither counts nor breaks anything."""
    cache_dir.mkdir(parents=True)
    (cache_dir / "note.txt").write_text("x")
    assert cache.list_cache() == []
    assert cache.clear_cache() == 0
    assert (cache_dir / "note.txt").exists()


def test_clearing_frees_everything(cache_dir: Path) -> None:
    """Clearing removes every entry and says how many bytes that freed."""
    entry(cache_dir, "a", 10)
    entry(cache_dir, "b", 20)
    assert cache.clear_cache() == 30
    assert cache.list_cache() == []


def test_clearing_spares_a_running_scan(cache_dir: Path) -> None:
    """The half-written entry of another process stays, so that its scan does not fail."""
    partial = entry(cache_dir, f"a{cache.PARTIAL}123-ab")
    cache.clear_cache()
    assert partial.exists()


def test_the_longest_unused_entries_make_room(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only as many entries go as must go, the longest unused ones first."""
    monkeypatch.setattr(cache, "MAX_CACHE_BYTES", 350)
    for name, age_s in (("a", 30), ("b", 20), ("c", 10)):
        entry(cache_dir, name, 100, age_s)
    cache.make_room(100)
    assert [item.path.name for item in cache.list_cache()] == ["b", "c"]


def test_being_used_keeps_an_entry(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old entry that was used just now outlives a younger one."""
    monkeypatch.setattr(cache, "MAX_CACHE_BYTES", 250)
    old, _ = entry(cache_dir, "old", 100, 500), entry(cache_dir, "young", 100, 10)
    cache.mark_used(old)
    cache.make_room(100)
    assert [item.path.name for item in cache.list_cache()] == ["old"]


def test_leftovers_of_killed_processes_are_removed(cache_dir: Path) -> None:
    """A half-written entry goes after a day, and not before."""
    fresh = entry(cache_dir, f"a{cache.PARTIAL}1", age_s=60)
    stale = entry(cache_dir, f"b{cache.PARTIAL}2", age_s=2 * cache.ABANDONED_S)
    cache.make_room(1)
    assert fresh.exists()
    assert not stale.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the XDG variables are Linux's")
def test_the_systems_cache_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without IMGCLF_CACHE_DIR pixels go where the system keeps caches."""
    monkeypatch.delenv("IMGCLF_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / "imgclf" / "pixels"


def test_an_entry_names_its_images(cache_dir: Path) -> None:
    """`cache list` can say of which folder pixels and features are; bytes that are no text stay."""
    named, old = entry(cache_dir, "features-ab"), entry(cache_dir, "cd", age_s=5)
    cache.note_source(named, "/photos/caf\udce9")
    listed = {item.path: item for item in cache.list_cache()}
    assert (listed[named].kind, listed[named].source) == ("features", "/photos/caf\udce9")
    assert (listed[old].kind, listed[old].source) == ("pixels", "")
