"""An interrupted scan goes on where it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.layout import read_folder
from imgclf.data.store import cache, journal
from imgclf.data.store.pixel_store import PixelStore, open_store

MakeFolder = Callable[..., Path]
POLICY = InputPolicy((16, 12))

SCANNING = """
import sys
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.layout import read_folder
from imgclf.data.store.pixel_store import open_store
def progress(done, total):
    print(done, flush=True)
open_store(read_folder(sys.argv[1]), InputPolicy((16, 12)), mode="disk", progress=progress)
"""


def rest(root: Path) -> tuple[PixelStore, int]:
    """Scan what is left; return the store, and how many files were known when it began."""
    calls: list[int] = []
    store = open_store(
        read_folder(root), POLICY, mode="disk", progress=lambda done, _: calls.append(done)
    )
    return store, calls[0] if calls else 0


def interrupted(root: Path, at_least: int) -> None:
    """Interrupt a scan as Ctrl-C does."""

    def progress(done: int, _total: int) -> None:
        if done >= at_least:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_store(read_folder(root), POLICY, mode="disk", progress=progress)


def journals() -> list[Path]:
    """Return the journals in the cache."""
    return list(cache.cache_folder().glob(f"*/{cache.JOURNAL}"))


def assert_as_if_whole(store: PixelStore) -> None:
    """Compare a store with one that was filled at once, in memory."""
    whole = open_store(store.folder, POLICY, mode="memory")
    rows = np.arange(len(store.folder.files))
    assert store.scanned == whole.scanned
    np.testing.assert_array_equal(store.pixels.rows(rows), whole.pixels.rows(rows))
    np.testing.assert_array_equal(store.signatures, whole.signatures)


def test_a_killed_scan_goes_on(make_folder: MakeFolder) -> None:
    """After SIGKILL, what was scanned is not decoded again; the result is that of a whole scan."""
    root = make_folder(a=400, b=400)
    (root / "a" / "broken.png").write_bytes(b"no image")
    process = subprocess.Popen(
        [sys.executable, "-c", SCANNING, root], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) > 200:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    time.sleep(0.3)  # Its workers end when their pipes do.
    (kept,) = journals()
    row = max(int(line.split()[0]) for line in kept.read_text().splitlines()[1:])
    assert row > 100
    shape = (801, *POLICY.pixel_shape)
    filled = np.memmap(kept.with_name("pixels.u8"), np.uint8, "r+", shape=shape)
    before = filled[row].copy()
    filled[row] = 7  # Nobody decodes it again.
    store, _ = rest(root)
    assert (store.pixels.rows(np.array([row])) == 7).all()
    np.memmap(cache.list_cache()[0].path / "pixels.u8", np.uint8, "r+", shape=shape)[row] = before
    assert_as_if_whole(store)
    assert not journals()


def test_an_interrupted_scan_goes_on(make_folder: MakeFolder) -> None:
    """Ctrl-C keeps the rows too; a journal's half-written last line is no harm."""
    root = make_folder(a=150, b=150)
    interrupted(root, 1)
    (kept,) = journals()
    with kept.open("ab") as file:
        file.write(b'7 ["0000')
    store, _ = rest(root)
    assert_as_if_whole(store)


@pytest.mark.parametrize("harm", ["pixels", "signatures", "boot", "garbage"])
def test_a_journal_without_its_rows_counts_for_nothing(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """Rows that were removed, or that a crash of the machine may have lost, are filled again."""
    root = make_folder(a=100, b=100)
    interrupted(root, 200)
    (kept,) = journals()
    if harm == "boot":
        monkeypatch.setattr(journal, "_boot", lambda: "another")
        np.asarray(np.memmap(kept.with_name("pixels.u8"), mode="r+"))[:] = 0
    elif harm == "garbage":
        kept.write_bytes(b"\xff\xfe" * 50)
    else:
        kept.with_name(f"{harm}.u8").write_bytes(b"")
    store, _ = rest(root)
    assert_as_if_whole(store)


def test_two_scans_do_not_share_rows(make_folder: MakeFolder) -> None:
    """While one process fills the rows, another one fills its own; both end well."""
    root = make_folder(a=300, b=300)
    process = subprocess.Popen(
        [sys.executable, "-c", SCANNING, root], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    store, num_known = rest(root)
    assert process.wait() == 0
    process.stdout.close()
    assert num_known < 600
    assert_as_if_whole(store)
    assert [path.name for path in cache.cache_folder().iterdir() if "partial" in path.name] == []


def test_a_changed_folder_begins_anew(make_folder: MakeFolder) -> None:
    """Another file is another scan."""
    root = make_folder(a=100, b=100)
    interrupted(root, 200)
    os.utime(root / "a" / "0000.png")
    store, num_known = rest(root)
    assert num_known < 200
    assert_as_if_whole(store)


def test_clearing_the_cache_ends_what_was_interrupted(make_folder: MakeFolder) -> None:
    """Half-filled rows go with the rest; those that a process is filling stay."""
    root = make_folder(a=100, b=100)

    def progress(_done: int, _total: int) -> None:
        cache.clear_cache()
        assert len(journals()) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_store(read_folder(root), POLICY, mode="disk", progress=progress)
    assert len(journals()) == 1
    cache.clear_cache()
    assert not list(cache.cache_folder().iterdir())
